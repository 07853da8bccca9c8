"""Raw MNRE trees, and generated ones, to TFRecord shards.

mnre         the command: python -m data_prep.mnre
prepare      the same as a function
lines, raw   the published text, checked line by line
crops        where a row's crops come from, by protocol
plan         what a row becomes, before a pixel is read
survey       a first pass over all rows, and the metadata
draw         pictures and crops, on all cores
builder      the TFDS builder that writes the shards
mnre1_*      the graphs published with MNRE-1 to scenes
quickstart*  a generator of small posts whose pictures are drawn
"""
