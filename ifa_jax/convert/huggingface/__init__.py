"""Encoders of transformers to a model, and back.

conversion        one or two encoders to a model
encoder_weights   one encoder to one stream
encoders          tables of BERT, CLIP and ViT
settings          checks of JSON settings
positions         position tables for another size
processor         `preprocessor_config.json`, in both directions
export            a model to two encoders and the rest of it
"""
