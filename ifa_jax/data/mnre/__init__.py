"""The published files of MNRE.

row      a line of a text file, checked
tree     the files of a raw tree
crops    the crops of a row, by protocol
"""
