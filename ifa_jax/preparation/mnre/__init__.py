"""Raw MNRE trees to TFRecord shards.

command    python -m data_prep.mnre
prepare    the same as a function
survey     a first pass over all rows, before any work
plan       the settings, and the outcome of each row
draw       pictures and crops, on all cores
builder    the TFDS folder of shards
"""
