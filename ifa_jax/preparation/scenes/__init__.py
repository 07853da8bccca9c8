"""Scenes of a tree.

command    python -m data_prep.scenes
splits     all scenes of a split
graphs     scene graphs of a detector
"""
