"""Boxes around objects of a tree's pictures: `python -m data_prep.objects`."""
