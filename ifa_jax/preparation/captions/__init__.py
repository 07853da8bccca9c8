"""Captions of pictures: `python -m data_prep.captions`."""
