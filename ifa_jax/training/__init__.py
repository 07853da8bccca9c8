"""Training and evaluation; `loop` and `evaluation` run an `experiment`."""
