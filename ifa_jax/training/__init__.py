"""Training and evaluation.

config/            settings: typed, resolved once, checked
experiment         a config with its model, dataset and devices
batch_source       the batches of a run; model_inputs reads some of their fields
epochs             steps, epochs, the rows of each update; visual shuffles
initialize         the first state: random, pretrained or restored
pretrained         pretrained encoders; initial_values lists their origin
steps, eval_step   one update and one evaluation: pure functions
optimizer          parameter groups, AdamW and SGD, schedules
loop               epochs, checkpoints, selection on dev
evaluation         scores of a split
metric_writer      metrics.jsonl and TensorBoard
fault_tolerance/   interruptions and non-finite numbers
"""
