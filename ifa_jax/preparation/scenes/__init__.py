"""Scenes of a tree.

command    python -m data_prep.scenes
splits     the scenes of all splits
maker      the scene of a picture
graphs     scene graphs of a detector
"""
