"""Analyses of the influence of images: `python -m ifa_jax.analyze VERB`.

    leak/         does the number of crops reveal the label of a row?
    audit/        whole numbers of rows that can produce printed scores
    shuffle/      Table 1: scores with the pictures of other rows, with none
    objects/      Figure 1: scores with objects dropped, doubled, exchanged
    compare/      systems on the same rows: differences, disagreements
    alignment/    Figure 1: the attention of each word to the picture
    table2/       Table 2: variants of one config file, next to the paper
    published     scores that the paper and later ones print
    tables        tables that several of them print

`command` in each folder is the verb; the other modules are the same in Python.
"""
