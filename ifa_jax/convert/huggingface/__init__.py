"""Encoders of transformers to a model, and back.

conversion        one or two encoders to a model
encoder_weights   one encoder to one stream
encoder           the form of a table of an encoder
encoders          tables of BERT, CLIP, ViT and DINOv2
layer_scale       DINOv2 without LayerScale
settings          checks of JSON settings
positions         position tables for another size
processor         `preprocessor_config.json`, in both directions
processor_classes tables of image processors
export            a model to two encoders and the rest of it
"""
