"""The fields and the keys of the captured weights that are a system's maps."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ifa_jax.analyze.alignment import map_kinds, maps
from ifa_jax.analyze.alignment.maps import Alignment, Column, MapKind
from ifa_jax.analyze.alignment.posts import DisplayRow
from ifa_jax.batch import Batch
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig


@dataclasses.dataclass(frozen=True)
class MapReader:
  """Turns the output of a model into maps.

  Attributes:
    kind: describes the maps.
    field: of `ModelOutput`, float32[maps, B, T, S] with the captured weights.
    sizes: field -> side of its squares in pixels; "image" is the picture.
    slots: all pictures and crops that a model of pixels attends to.
    resize: form of the squares, see `decode.fit`.
  """

  kind: MapKind
  field: str
  sizes: dict[str, int]
  slots: Sequence[Column] = ()
  resize: str = "fit"

  def align(
    self, weights: np.ndarray, row: DisplayRow, batch: Batch, i: int
  ) -> Alignment:
    """Returns the maps of row i of a batch from its float32[maps, T, S]."""
    columns = row.objects
    if self.slots:
      columns = [
        slot
        for slot in self.slots
        if np.atleast_1d(getattr(batch, f"{slot.field}_mask")[i])[slot.index]
      ]
    return maps.align(weights, row.text, columns, self.kind)


def reader(
  model: System,
  scenes: str | None,
  slots: Sequence[tuple[str, int, int]],
  image_size: int,
) -> MapReader:
  """Returns the reader of a run's model.

  Args:
    scenes: directory or name of the scenes of the run's data, if any.
    slots: (field, pictures per row, pixels), as `System.picture_slots`; fields
      that no post has may be left out.
    image_size: side of the whole picture's square in the data, in pixels.

  Raises:
    ValueError: for a model without an alignment, with the reason.
  """
  if model.reads_caption:
    kind = map_kinds.of_caption(model)
    return MapReader(kind, "text_attention", {"image": image_size})
  if reason := _no_map(model):
    raise ValueError(
      f"expected a model that aligns words with pictures, got one that {reason}"
    )
  if model.picture_slots:
    vision = model.vision
    sizes = {
      "image": vision.image_size,
      "grounded": vision.grounded_size,
      "detected": vision.detected_size,
    }
    columns = place_pictures(slots, vision.patch_size)
    if isinstance(model, ModelConfig):
      kind = map_kinds.of_attention(model.text.num_layers, columns)
    else:
      # MKGformer compares whole states.
      has_heads = model.system != MKGformerConfig.system
      kind = map_kinds.of_looks(model.map_titles, columns, has_heads)
    return MapReader(kind, "text_attention", sizes, columns, vision.resize)
  if not scenes:
    raise ValueError(
      "data.scenes: expected a directory of scenes, whose objects the words are"
      " aligned with, got none"
    )
  kind = map_kinds.of_regions(model)
  return MapReader(kind, "region_weights", {"image": image_size})


def _no_map(model: System) -> str | None:
  if not model.sees_pictures:
    return "reads only text"
  if isinstance(model, HVPNeTConfig) and not model.weight_names:
    return "mixes tokens and heads: no weight belongs to one region"
  if model.picture_slots and not model.map_titles:
    return "has no layer whose text attends to pixels"
  if model.regions is not None and not model.weight_names:
    return "sums its objects: no word is aligned with any"
  return None


def place_pictures(
  slots: Sequence[tuple[str, int, int]], patch_size: int
) -> list[Column]:
  """Returns a column per slot; key 0 is the class token."""
  placed, start = [], 1
  for field, count, size in slots:
    side = size // patch_size
    for index in range(count):
      placed.append(Column(field, index, start, side))
      start += side**2
  return placed
