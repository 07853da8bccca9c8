"""The graphs published with MNRE-1, as scenes.

command    python -m data_prep.mnre1_graphs
words      the words of its dependency trees
"""
