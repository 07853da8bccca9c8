"""IFAformer: both streams, layer by layer.

model         the whole model
layer_pair    a layer of both streams, which lend each other keys and values
caption       the model with a caption in the place of the picture
"""
