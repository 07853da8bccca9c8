"""Systems that came after those of the paper.

mkgformer    vision reads the text, and the text's MLP reads the vision
hvformer     a text that looks at three depths of a frozen vision stream
pyramid      settings of HVPNeT, and its prefixes of keys and values
hvpnet       a text that attends to these prefixes
"""
