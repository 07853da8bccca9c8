"""Generated posts with drawn pictures.

command             python -m data_prep.quickstart
texts, tokenizer    sentences with two entities, and their vocabulary
pictures, shapes    drawn pictures
"""
