"""Encoders of `transformers` to a model, and back.

conversion          one or two encoders to a model
encoder_weights     one encoder to one stream
architecture        the kind of an encoder; bert, clip and vit are the tables
settings            every key of a `config.json`: read, refused or unused
processor           a `preprocessor_config.json`, there and back; its keys are
                    in processor_settings
assemble            the config of the model that encoders make up
positions           a position table for another image size
export              a model to two encoders
leftover_weights    everything that an exported encoder has no place for
"""
