"""Image files to arrays.

decode    an image file to the squares that the visual stream reads
boxes     boxes around objects: detected ones, and grounded by a phrase
"""
