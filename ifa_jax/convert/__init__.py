"""Weights of other programs to this model's parameters, and back.

    bert, vit, clip   tables of encoders of `transformers`
    deepke            table of DeepKE's `best_model.pth`
    vilbert           table of ViLBERT's `pytorch_model.bin`
    rules, engine     what a table says, and what is done with it
    source, stream    a folder or hub id; an encoder to a stream
    fit, huggingface  two encoders to a model
    fresh             what no checkpoint brings
    pooler            what BERT brings beside it
    converted         what was converted, on disk
    export            a model to DeepKE's file, or to two encoders

`python -m ifa_jax.convert VERB --help` describes the commands.
"""

from ifa_jax.convert.converted import load_converted, save_converted
from ifa_jax.convert.deepke import from_deepke
from ifa_jax.convert.huggingface import from_huggingface
from ifa_jax.convert.vilbert import from_vilbert

__all__ = [
  "from_deepke",
  "from_huggingface",
  "from_vilbert",
  "load_converted",
  "save_converted",
]
