"""Scenes: the objects of pictures and the graphs of sentences.

store               files of scenes
arrays, validate    their arrays, and the checks on them
region_features     regions, boxes and alignment of a batch
fallbacks           substitutes for missing parts of scenes
spatial             edges between neighbouring boxes
graph_similarity    the structural alignment of words and objects (xNetMF)
"""
