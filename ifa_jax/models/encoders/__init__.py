"""Streams shared by several systems.

text            BERT
text_layer      one layer of it, which may read another stream's tokens
vision          ViT
two_stream      settings of systems with a text stream and a stream of pixels
regions         BERT's layers over the regions of a picture
co_attention    two streams of any widths that attend to each other
"""
