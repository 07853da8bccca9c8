"""What the image really does: `python -m ifa_jax.analyze VERB`.

leak        does a number of crops tell the label of a tree or a dataset?
audit       which whole numbers of rows can stand behind printed scores?
shuffle     Table 1: a run's scores with the pictures of other rows, with none
compare     systems on the same rows: differences, relations, disagreements
alignment   Figure 1: what each word of a post attends to in its picture
table2      Table 2: a config file's variants, trained alike, beside the paper

Each verb is the module of its name: `define_flags` and `main` are the command,
the other functions the same in Python. Modules beside it carry its name first,
but for `verdicts` (leak), `whole_numbers` and `published` (audit), `conditions`
(shuffle), `systems`, `predictions`, `paired` and `disagreement` (compare),
`bootstrap`, whose intervals shuffle, compare and table2 share, and `tables`,
which the last two print.
"""
