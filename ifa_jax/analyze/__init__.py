"""Analyses of the influence of images: `python -m ifa_jax.analyze VERB`.

    leak/         does the number of crops reveal the label of a row?
    audit/        whole numbers of rows that can produce printed scores
    shuffle/      a run's scores with the pictures of other rows, with none
    names/        scores with the names of other entities
    objects/      Figure 1: scores with objects dropped, doubled, exchanged
    compare/      systems on the same rows: differences, disagreements
    alignment/    Figure 1: the attention of each word to the picture
    table1/       Table 1: variants of one config file, under shuffles
    table2/       Table 2: variants of one config file, next to the paper
    rows/         variants of one config file as trained runs, for both
    pack/         the predictions of runs as one archive
    published     scores that the paper and later ones print
    tables        tables that several of them print
    outputs       files that several of them write

`command` in each folder is the verb; the other modules are the same in Python.
"""
