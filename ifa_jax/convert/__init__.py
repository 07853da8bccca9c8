"""Converts weights of other programs to this model, and back.

    huggingface/         encoders of transformers
    deepke               DeepKE's best_model.pth, in both directions
    vilbert              ViLBERT's pytorch_model.bin
    engine               rules that rename weights
    sources              a folder or hub id
    store                converted weights on disk
    cache                encoders, converted on first use
    options              options from Python, checked as flags are
    initialize           parameters that no checkpoint has
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
