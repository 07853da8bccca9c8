"""Boxes around the objects of a tree's pictures.

command    python -m data_prep.objects
boxes      the search, picture by picture
journal    boxes found so far, kept for an interrupted run
tree       the pictures of a tree, and the names to look for
"""
