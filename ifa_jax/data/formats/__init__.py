"""Readers of datasets: each gives rows of a split and the relations by id.

reader    relations and bad rows, for all readers
registry  the formats by name
mnre      the files of MNRE
jsonl     JSON lines, the format of your own data
fewrel    FewRel's JSON files
jmere     JMERE's JSON files
objects   rows whose heads and tails may be objects of the picture
more      the files of MORE and UMRE
"""
