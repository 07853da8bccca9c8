"""Training and evaluation.

config/            settings, and their checks
experiment         a config, put together: model, data, devices
model_inputs       fields that a model reads in addition to ids and pixels
initialize         the first state: random, pretrained or restored
pretrained         pretrained encoders; initial_values lists their origin
steps, eval_step   one update and one evaluation: pure functions
optimizer          parameter groups, AdamW and SGD, schedules
loop               epochs, checkpoints, selection on dev
evaluation         scores of a split
metric_writer      metrics.jsonl and TensorBoard
epochs             the rows of each step of a run
fault_tolerance/   interruptions and non-finite numbers
"""
