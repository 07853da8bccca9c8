"""Combines one or two encoders into the config of a model."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ifa_jax.convert.huggingface.encoder_weights import Stream, default_partner
from ifa_jax.data.text import markers
from ifa_jax.files.shown import shown
from ifa_jax.models.config import ModelConfig

# In the `config.json` of an export: the ids of the markers, for which
# transformers has no key.
MARKERS_KEY = "entity_markers"


@dataclasses.dataclass(frozen=True)
class Options:
  """Settings that encoders do not determine.

  Attributes:
    vision_layers: "first:N" takes the first N layers of the vision encoder.
    text_layers: likewise.
    image_size: side of a picture in pixels; None: as the encoder was trained.
      The position table is resized if needed.
    num_crops: slots for crops of each kind.
    num_relations: "None" included.
    fusion: "paper" or "released".
    seed: of initialised parameters.
  """

  vision_layers: str | None = None
  text_layers: str | None = None
  image_size: int | None = None
  num_crops: int = 3
  num_relations: int = 23
  fusion: str = "paper"
  seed: int = 0


def model_config(
  streams: Mapping[str, Stream], tokenizer: Any, options: Options
) -> ModelConfig:
  """Returns the config of the model that encoders form.

  Args:
    streams: "text", "vision" or both.
    tokenizer: the text encoder's, or None.
    options: settings that the encoders do not determine.

  Raises:
    ValueError: for encoders of different depths or widths, naming both, or
      markers that are no ids.
  """
  _check_fit(streams)
  configs = {side: stream.config for side, stream in streams.items()}
  if "text" in streams:
    rows = vocabulary_rows(streams["text"], tokenizer)
    configs["text"] = dataclasses.replace(configs["text"], vocab_size=rows)
  text = configs.get("text") or default_partner(configs["vision"])
  vision = configs.get("vision") or default_partner(configs["text"])
  vision = dataclasses.replace(
    vision,
    num_crops=options.num_crops,
    image_size=options.image_size or vision.image_size,
  )
  return ModelConfig(
    text, vision, options.fusion, num_relations=options.num_relations
  )


def vocabulary_rows(text: Stream, tokenizer: Any) -> int:
  """Returns the rows of the word table, including the markers'.

  The markers follow the tokenizer's last id. A larger table keeps its rows.
  """
  rows, count = text.config.vocab_size, len(markers.MARKERS)
  marked = text.source.read_config().get(MARKERS_KEY)
  if marked is not None:
    first = marked[0] if isinstance(marked, list) and marked else None
    if type(first) is not int or marked != [*range(first, first + count)]:
      raise ValueError(
        f"{text.source.folder}/config.json: {MARKERS_KEY}: expected {count} ids"
        f" in a row, got {shown(marked)}"
      )
    return max(rows, first + count)
  return rows + count if tokenizer is None else max(rows, tokenizer.vocab_size)


def _check_fit(streams: Mapping[str, Stream]) -> None:
  """Raises ValueError for encoders of different widths or depths."""
  if len(streams) < 2:
    return
  text, vision = streams["text"], streams["vision"]
  for field, what in (("hidden_dim", "width"), ("num_layers", "depth")):
    pair = getattr(text.config, field), getattr(vision.config, field)
    if pair[0] == pair[1]:
      continue
    advice = "choose encoders of one width"
    if what == "depth":
      deeper = "vision" if pair[0] < pair[1] else "text"
      advice = f"shorten one with {deeper}_layers=first:{min(pair)}"
    raise ValueError(
      f"expected encoders of one {what}, since they attend to each other layer"
      f" by layer; got {pair[0]} in {text.source.name} and {pair[1]} in"
      f" {vision.source.name}: {advice}"
    )


def resize_positions(table: np.ndarray, side: int) -> np.ndarray:
  """Returns a position table for a grid of another size.

  Row 0, the class token's, is kept. The others are a grid of patches, row by
  row, that is resized by cubic interpolation, with smoothing if it shrinks.

  Args:
    table: float32[1 + n^2, D].
    side: patches along a side of the new grid.

  Returns:
    float32[1 + side^2, D]; `table` itself if it has that size.

  Raises:
    ValueError: for a table that is no class token and a square.
  """
  old = math.isqrt(len(table) - 1)
  if old**2 != len(table) - 1:
    raise ValueError(f"position table: expected 1 + n^2 rows, got {len(table)}")
  if side == old:
    return table
  grid = table[1:].reshape(old, old, -1)
  resized = jax.image.resize(grid, (side, side, grid.shape[-1]), "cubic")
  return np.concatenate([table[:1], resized.reshape(side**2, -1)])
