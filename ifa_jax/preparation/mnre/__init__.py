"""Raw MNRE trees to TFRecord shards.

command       python -m data_prep.mnre
prepare       the same as a function
plan          the outcome of each row, before a pixel is read
survey        a first pass over all rows, and the metadata
draw          pictures and crops, on all cores
builder       the TFDS builder that writes the shards
same_bytes    the same bytes from every run
"""
