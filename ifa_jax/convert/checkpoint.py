"""A file of weights that holds a whole model, converted by a table of rules."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, initialize, sources
from ifa_jax.convert.engine import Table
from ifa_jax.convert.store import Converted, make_info
from ifa_jax.data.text import markers
from ifa_jax.models import parameters


class Checkpoint(NamedTuple):
  """The arrays of a file, by name."""

  path: str
  arrays: Mapping[str, np.ndarray]

  def shape(self, name: str) -> tuple[int, int]:
    """Returns rows and columns of an array.

    Raises:
      ValueError: if the array is missing, empty or no matrix; names it and the
        file.
    """
    array = self.arrays.get(name)
    if array is None or array.ndim != 2 or 0 in array.shape:
      found = "nothing" if array is None else f"shape {array.shape}"
      raise ValueError(f"{self.path}: {name}: expected a matrix, got {found}")
    return array.shape

  def count(self, pattern: str) -> int:
    """Returns the number of names that match a pattern of `engine`."""
    return sum(engine.match(pattern, name) is not None for name in self.arrays)

  def bert_sizes(self, embeddings: str, layer: str) -> dict[str, Any]:
    """Returns the fields of a `TextConfig` that BERT's arrays determine.

    Args:
      embeddings: their name.
      layer: the pattern of the layers' names.
    """

    def shape(table: str) -> tuple[int, int]:
      return self.shape(f"{embeddings}.{table}_embeddings.weight")

    vocab_size, hidden_dim = shape("word")
    return {
      "vocab_size": vocab_size,
      "hidden_dim": hidden_dim,
      "max_len": shape("position")[0],
      "num_token_types": shape("token_type")[0],
      **self.depth(f"{layer}.intermediate.dense.weight"),
    }

  def depth(self, mlp: str) -> dict[str, Any]:
    """Returns number and MLP width of layers, by the pattern of its weight."""
    mlp_dim, _ = self.shape(mlp.replace("{n}", "0"))
    return {"num_layers": self.count(mlp), "mlp_dim": mlp_dim}

  def convert(
    self, config: Any, rules: Table, origin: str, seed: int | None = None
  ) -> Converted:
    """Returns the model, with provenance.

    Args:
      config: a `System` with the sizes of the arrays.
      rules: for all names.
      origin: see `store.make_info`.
      seed: for a file before fine-tuning, which has neither a relation head
        nor the markers' rows of the word table: both are initialised.

    Raises:
      ValueError: for names and shapes that the rules do not have; lists all.
    """
    expected = parameters.param_shapes(config)
    if seed is not None:
      expected = {
        path: shape
        for path, shape in expected.items()
        if not path.startswith("relation_head/")
      }
    params = engine.convert(self.arrays, rules, expected, self.path)
    info = make_info(origin)
    info["sources"]["checkpoint"] = sources.record(self.path, [self.path])
    info["dropped"]["checkpoint"] = engine.dropped(self.arrays, rules)
    if seed is not None:
      rows = config.text.vocab_size + len(markers.MARKERS)
      text = dataclasses.replace(config.text, vocab_size=rows)
      config = dataclasses.replace(config, text=text)
      params, info["initialised"] = initialize.complete(params, config, seed)
    nested = traverse_util.unflatten_dict(params, sep="/")
    return Converted(config, nested, info)


def read(path: str | os.PathLike) -> Checkpoint:
  """Reads a state dict; nothing in it is executed.

  Raises:
    ValueError: if it is missing, damaged, or holds anything but tensors.
  """
  path = os.fspath(path)
  return Checkpoint(path, sources.read_weights(path))
