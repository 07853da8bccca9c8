"""Scores when both names of every row are replaced, the label kept."""
