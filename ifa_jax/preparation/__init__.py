"""The commands that prepare data; `data_prep` has their short names.

mnre/            raw MNRE trees to TFRecord shards
objects/         boxes around objects, found by PyTorch models
captions/        captions, written by such a model
published_boxes/ the published coordinates of MNRE's crops, as boxes
per_picture/     the run of such models on pictures, which can be resumed
scenes/          objects and graphs of a tree's pictures and sentences
mnre1_graphs/    the graphs published with MNRE-1, as scenes
quickstart/      generated posts with drawn pictures
joins            listed pictures and phrases that match no row
counts           the table that a command ends with
versions         versions of installed packages
"""
