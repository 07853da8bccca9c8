"""What each system's captured weights mean: the one place that knows.

`reader` returns what turns them into maps. A model that looks at pixels has
attention to patches. A model of regions says by `System.weight_names` which
maps of `ModelOutput.region_weights` it has, and `region_maps` what they are.
"""

from collections.abc import Sequence
from typing import Protocol

import jax
import numpy as np

from ifa_jax.analyze.alignment import pixels, regions
from ifa_jax.analyze.alignment.maps import Alignment, Wording
from ifa_jax.analyze.alignment.regions import RegionMaps
from ifa_jax.analyze.alignment.rows import Row
from ifa_jax.batch import Batch
from ifa_jax.models import ModelOutput
from ifa_jax.models.base import System
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig


class Reader(Protocol):
  """Turns what a model captures of a batch into maps.

  Attributes:
    titles: name of each map -> its title, the one to show first in front.
    sizes: sides of squares in pixels by field, that of the picture as "image".
  """

  titles: dict[str, str]
  sizes: dict[str, int]

  def captured(self, output: ModelOutput) -> jax.Array:
    """Returns float32[maps, B, T, S], what has to come from the device."""
    ...

  def align(
    self, weights: np.ndarray, row: Row, batch: Batch, i: int
  ) -> Alignment:
    """Returns the maps of row i of a batch from its float32[maps, T, S]."""
    ...


def reader(
  model: System,
  scenes: str | None,
  slots: Sequence[tuple[str, int, int]],
  image_size: int,
) -> Reader:
  """Returns what reads the maps of a run's model.

  Args:
    model: the run's.
    scenes: folder, or name, of the scenes of its data, if any.
    slots: what it looks at, as `System.picture_slots`; kinds that are read of
      no post may be left out.
    image_size: side of the whole picture's square in its data, in pixels.

  Raises:
    ValueError: for a model that has none, with the reason.
  """
  if reason := _no_map(model):
    raise ValueError(
      f"want a model that aligns words with pictures, found one that {reason}"
    )
  if model.picture_slots:
    return _Pixels(model, slots)
  if not scenes:
    raise ValueError(
      "data.scenes: want a folder of scenes, whose objects words are aligned"
      " with, found none"
    )
  return _Regions(model, image_size)


def _no_map(config: System) -> str | None:
  if not config.sees_pictures:
    return "reads only text"
  if config.regions is not None and not config.weight_names:
    return "sums its objects: no word is aligned with any"
  return None


class _Pixels:
  """Attention to the patches of pictures and crops."""

  def __init__(self, model: System, slots: Sequence[tuple[str, int, int]]):
    """Places the keys of every picture that the model has any for."""
    vision = model.vision
    self._slots = slots
    self._places = pixels.place_pictures(slots, vision.patch_size)
    self.titles = pixels.map_titles(model.text.num_layers)
    self.sizes = {
      "image": vision.image_size,
      "grounded": vision.grounded_size,
      "detected": vision.detected_size,
    }

  def captured(self, output: ModelOutput) -> jax.Array:
    """Returns float32[layers, B, T, P+T]."""
    return output.text_attention

  def align(
    self, weights: np.ndarray, row: Row, batch: Batch, i: int
  ) -> Alignment:
    """Returns the maps of row i of a batch from its float32[maps, T, S]."""
    masks = {
      field: np.atleast_1d(getattr(batch, f"{field}_mask")[i]).tolist()
      for field, *_ in self._slots
    }
    return pixels.align(weights, row.text, self._places, masks)


class _Regions:
  """Weights of tokens and the objects of scenes."""

  def __init__(self, model: System, image_size: int):
    """Chooses what the maps are."""
    self._kind = region_maps(model)
    self.titles = self._kind.shown
    self.sizes = {"image": image_size}

  def captured(self, output: ModelOutput) -> jax.Array:
    """Returns float32[maps, B, T, M]."""
    return output.region_weights

  def align(
    self, weights: np.ndarray, row: Row, batch: Batch, i: int
  ) -> Alignment:
    """Returns the maps of row i of a batch from its float32[maps, T, S]."""
    return regions.align(weights, row.text, row.objects, self._kind)


_PARTS = (
  "What each object is to the head or tail, the {} over the entity's"
  " WordPieces. All objects of a post have one scale. The picture is cut to its"
  " middle, beside which some may lie."
)
_MARKERS = "The last two rows are the opening markers of the two entities"
_READ = ", which the relation is read from"
_PICTURE = "the picture's middle, with objects"
_NOTHING = "No object is known of the picture: there is nothing to align."


def _co_attention(config: ViLBERTConfig) -> RegionMaps:
  """Shares of a text token's attention to the other stream, by connection."""
  by_entity = config.pooling == "entity_start"
  wording = Wording(
    cell=(
      "share of a word's co-attention (softmax over the whole picture and its"
      " objects, mean over heads and over the word's WordPieces) that goes to"
      " an object; not renormalised, so objects and the whole picture add up"
      " to 1"
    ),
    unit="% of a word's co-attention",
    elsewhere={"whole picture": "the token that stands before the objects"},
    markers=_MARKERS + (_READ if by_entity else "") + ".",
    parts=_PARTS.format("mean"),
    picture=_PICTURE,
    nothing=_NOTHING,
  )
  titles = {name: f"connection {name}" for name in config.weight_names}
  together = ("mean", "mean over connections")
  return RegionMaps(titles, together, np.mean, np.mean, wording)


_MIXTURES = {
  "cell": (
    "weight that an object gives to a word, summed over the word's WordPieces"
  ),
  "structural": (
    "structural: the likeness of a word's place in the dependency graph and an"
    " object's in the scene graph, of the objects that the word keeps"
  ),
  "semantic": (
    "semantic: the share of an object's attention (softmax over tokens) that"
    " goes to a word; the rest of its 1 goes to tokens that are no word's"
  ),
  "sum": (
    "sum: both together, by which an object mixes the text's values; it adds up"
    " to no fixed number"
  ),
  "absent": "objects that are absent are read all the same, and have no column",
}


def _mixtures(config: MEGAConfig) -> RegionMaps:
  """Weights of tokens in the mixtures that stand for objects.

  Tokens are what objects read, so a word has the sum of its tokens' weights:
  the structural alignment is divided among them, and so is attention.
  """
  titles = {name: name for name in config.weight_names}
  # Joined mixtures pass a layer side by side: there is nothing that they add.
  added = len(titles) > 1 and not config.rules.joined
  together = ("sum", "structural + semantic") if added else None
  unmarked = " They have no structural weight." if config.structural else ""
  kinds = [*titles, *(["sum"] if added else [])]
  kinds += [] if config.rules.mask_objects else ["absent"]
  wording = Wording(
    cell="; ".join(_MIXTURES[kind] for kind in ("cell", *kinds)),
    unit="weight of a word, %",
    elsewhere={},
    markers=_MARKERS + _READ + "." + unmarked,
    parts=_PARTS.format("sum"),
    picture=_PICTURE,
    nothing=_NOTHING,
  )
  return RegionMaps(titles, together, np.sum, np.sum, wording)


_KINDS = {
  ViLBERTConfig.system: _co_attention,
  MEGAConfig.system: _mixtures,
}


def region_maps(config: System) -> RegionMaps:
  """Returns what the maps of a model of regions are.

  Args:
    config: one with `weight_names`.
  """
  return _KINDS[config.system](config)
