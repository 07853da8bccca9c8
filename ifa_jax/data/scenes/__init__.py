"""Scenes: the objects of a picture and the graph of its sentence.

store               files of scenes
arrays, validate    their arrays, and the checks that they pass
region_features     the regions of a batch, read from scenes
fallbacks           substitutes for whatever scenes lack
spatial             edges between boxes that are close to each other
graph_similarity    the structural alignment of words and objects (xNetMF)
"""
