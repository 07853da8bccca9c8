"""Boxes around the objects of a tree's pictures.

command    python -m data_prep.objects
boxes      the search, picture by picture
journal    found objects, kept for a run that is interrupted
tree       the pictures of a tree, and the names to look for
"""
