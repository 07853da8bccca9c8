"""Raw MNRE trees, and generated ones, to TFRecord shards.

    raw            the published text files, checked line by line
    crops          where a row's crops come from, by protocol
    builder        the TFDS builder that writes the shards
    mnre           the command: python -m data_prep.mnre
    quickstart     a generator of small posts whose pictures are drawn
"""
