"""How one or two encoders become one model's config."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ifa_jax.convert.huggingface.encoder_weights import Stream, beside
from ifa_jax.data.text import markers
from ifa_jax.files.shown import shown
from ifa_jax.models.config import ModelConfig

# In the `config.json` of an export: the ids of the markers, which transformers
# has no word for.
MARKERS_KEY = "entity_markers"


@dataclasses.dataclass(frozen=True)
class Options:
  """What a checkpoint leaves open.

  Attributes:
    vision_layers: "first:N" takes the vision encoder's first N layers.
    text_layers: likewise.
    image_size: pixels along a picture's side; None: as the encoder was trained.
      Another one resizes the position table, see `positions`.
    num_crops: slots for crops of each kind.
    num_relations: "None" included.
    fusion: "paper" or "released".
    seed: of what is initialised.
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
  """Returns the config of the model that encoders make up.

  Args:
    streams: "text", "vision" or both.
    tokenizer: the text encoder's, or None.
    options: what the encoders leave open.

  Raises:
    ValueError: for encoders of different depths or widths, naming both, or
      markers that are no ids.
  """
  _check_fit(streams)
  configs: dict[str, Any] = {
    side: stream.config for side, stream in streams.items()
  }
  if "text" in streams:
    rows = vocabulary_rows(streams["text"], tokenizer)
    configs["text"] = dataclasses.replace(configs["text"], vocab_size=rows)
  text = configs.get("text") or beside(configs["vision"])
  vision = configs.get("vision") or beside(configs["text"])
  vision = dataclasses.replace(
    vision,
    num_crops=options.num_crops,
    image_size=options.image_size or vision.image_size,
  )
  return ModelConfig(
    text, vision, options.fusion, num_relations=options.num_relations
  )


def vocabulary_rows(text: Stream, tokenizer: Any) -> int:
  """Returns the rows of the word table, those of the markers included.

  The markers follow the last id that the tokenizer can give. A table that has
  more rows than that keeps them.
  """
  published = text.config.vocab_size
  marked = text.source.read_config().get(MARKERS_KEY)
  if marked is not None:
    published = _first_marker(marked, text.source.folder)
  elif tokenizer is not None:
    published = tokenizer.vocab_size - len(markers.MARKERS)
  return max(text.config.vocab_size, published + len(markers.MARKERS))


def _first_marker(marked: Any, folder: str) -> int:
  """Returns the first of the ids that an export gives its markers."""
  first = marked[0] if isinstance(marked, list) and marked else None
  count = len(markers.MARKERS)
  if type(first) is not int or marked != [*range(first, first + count)]:
    raise ValueError(
      f"{folder}/config.json: {MARKERS_KEY}: expected {count} ids in a row, got"
      f" {shown(marked)}"
    )
  return first


def _check_fit(streams: Mapping[str, Stream]) -> None:
  """Raises ValueError for encoders whose depths or widths differ."""
  if len(streams) < 2:
    return
  text, vision = streams["text"], streams["vision"]
  for field, what, advice in (
    ("hidden_dim", "width", "choose encoders of one width"),
    ("num_layers", "depth", "take part of the deeper one"),
  ):
    pair = getattr(text.config, field), getattr(vision.config, field)
    if pair[0] != pair[1]:
      if field == "num_layers":
        deeper = "vision" if pair[0] < pair[1] else "text"
        advice += f" with {deeper}_layers=first:{min(pair)}"
      raise ValueError(
        f"want encoders of one {what}, since they read each other layer by"
        f" layer; found {pair[0]} in {text.source.name} and {pair[1]} in"
        f" {vision.source.name}: {advice}"
      )
