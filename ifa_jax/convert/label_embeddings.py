"""Embeddings of class names, for objects without a detector's features."""

import os

import numpy as np

from ifa_jax.convert import store
from ifa_jax.data.text.tokenizer import Tokenizer


class LabelVectors:
  """Class names as the mean of their WordPieces' embeddings."""

  def __init__(self, folder: str | os.PathLike, tokenizer: Tokenizer):
    """Reads the word table of converted weights, a row for each token id.

    Raises:
      ValueError: if the folder holds no converted weights.
    """
    _, params, _ = store.load_converted(folder)
    self._table = params["text"]["embed"]["word"]["embedding"]
    self._tokenizer = tokenizer
    self.dim = self._table.shape[1]

  def __call__(self, name: str) -> np.ndarray:
    """Returns float32[D] of a class name such as "traffic light"."""
    words = name.split() or ["[UNK]"]
    # The tokenizer truncates all words but the head's and the tail's.
    span = (0, len(words))
    encoded = self._tokenizer.encode(words, span, span, len(self._table))
    ids = [
      token
      for token, word in zip(encoded.input_ids, encoded.word_ids, strict=True)
      if word >= 0
    ]
    return self._table[ids].mean(axis=0)
