"""Weights of other programs to this model's parameters, and back.

    huggingface/         encoders of transformers
    deepke               DeepKE's best_model.pth; deepke_export is the way back
    vilbert              ViLBERT's pytorch_model.bin
    rules, engine        a table of names, and its application
    sources              a folder or hub id
    store                converted weights on disk
    cache                encoders, converted once and kept
    initialize           parameters that no checkpoint brings
    pooler               BERT's pooler, which only one system reads
    label_embeddings     word embeddings of class names
    summary              the report of a conversion

`python -m ifa_jax.convert VERB --help` describes the commands.
"""

from ifa_jax.convert.deepke import from_deepke
from ifa_jax.convert.huggingface.conversion import from_huggingface
from ifa_jax.convert.store import load_converted, save_converted
from ifa_jax.convert.vilbert import from_vilbert

__all__ = [
  "from_deepke",
  "from_huggingface",
  "from_vilbert",
  "load_converted",
  "save_converted",
]
