"""The folder of a run, where training, inference and analyses meet.

run_folder     config.json, scores, predictions; its lock
checkpoints    Orbax checkpoints
differences    what differs between a run and what is asked of it
recovery       cleans up the checkpoints of an interrupted run
"""
