"""The streams that systems share.

text            BERT
text_layer      one layer of it, open to tokens that another stream lends
vision          ViT
regions         BERT's layers over the regions of a picture
co_attention    two streams of any widths that attend to each other
"""
