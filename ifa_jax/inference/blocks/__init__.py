"""Many posts: files are cut into blocks, which workers of a cluster predict.

command     the run: blocks that are not there yet, in parallel
cut         files to blocks, whose batches are those of the whole file
worker      a block to a file of records
kinds       the kinds of files
lines       JSON lines
parquet     Parquet
"""
