"""The published files of MNRE.

notation   a line's language, Python or JSON
row        a line of a text file, checked
tree       the files of a raw tree
crops      the crops of a row, by protocol
"""
