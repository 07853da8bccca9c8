"""A post between the raw files and the device.

schema           a prepared record, and the dataset's metadata
relation_names   relations, each in one spelling
mnre/            the published files of MNRE: rows, trees, crops
formats/         readers of MNRE and of other datasets, by format
text/            entity markers, WordPieces, words, parse trees
images/          image files to squares of pixels, boxes around objects
scenes/          objects of pictures and graphs of sentences
pipeline/        TFRecord shards to shuffled, padded batches
"""
