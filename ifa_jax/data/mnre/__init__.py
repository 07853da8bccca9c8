"""The published files of MNRE.

notation   the language of a line, Python or JSON
row        one validated line of a text file
tree       the text files and relations of a tree
crops      pictures and crops of a row, by protocol
"""
