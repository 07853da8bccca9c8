"""Descriptions of the maps of each system: their titles, numbers and rows."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from ifa_jax.analyze.alignment.maps import Column, MapKind
from ifa_jax.models.base import System
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig

_MARKERS = "The last two rows are the opening markers of the two entities"
_READ = ", from which the relation is predicted"
_regions = functools.partial(
  MapKind,
  picture="centre of the picture, with objects",
  nothing="No object of the picture is known: there is nothing to align.",
)
_PARTS = (
  "Weight of each object for the head or tail, the {} over the entity's"
  " WordPieces. All objects of a post share one scale. The picture is cropped"
  " to its centre; some objects may be outside."
)


def of_attention(num_layers: int, columns: Sequence[Column]) -> MapKind:
  """Describes attention to the patches of pictures and crops."""
  layers = {str(i): f"layer {i}" for i in range(num_layers)}
  return MapKind(
    titles={"mean": "mean over layers"} | layers,
    combine=np.mean,
    pool=np.mean,
    cell=(
      "share of a word's attention (softmax over visual and text keys, mean"
      " over heads and over the word's WordPieces) that goes to a picture,"
      " summed over its patches; not renormalised, so pictures and elsewhere"
      " add up to 1"
    ),
    unit="% of a word's attention",
    elsewhere={
      "class token": "the visual key that belongs to no picture",
      "absent": "empty slots, which the model attends to as well",
      "text": "the post's own text, including special tokens and markers",
    },
    markers=_MARKERS + _READ + ".",
    parts=(
      "Attention of the head's or tail's words to each patch. All patches of a"
      " post share one scale. Crops are drawn where they were cut; only the"
      " centre of a crop that is not square is read."
    ),
    picture="as the model sees it",
    nothing="No picture and no crop: there is nothing to align.",
    num_visual=1 + sum(column.side**2 for column in columns),
  )


def of_looks(
  names: Sequence[str], columns: Sequence[Column], has_heads: bool
) -> MapKind:
  """Describes weights of visual tokens only, which add up to 1."""
  mean = "mean over heads and" if has_heads else "mean"
  titles = {str(i): name for i, name in enumerate(names)}
  return of_attention(0, columns)._replace(
    titles={"mean": "mean over maps"} | titles,
    cell=(
      f"share of a word's look at the visual tokens (softmax over them, {mean}"
      " over the word's WordPieces) that goes to a picture, summed over its"
      " patches; pictures and elsewhere add up to 1"
    ),
    unit="% of a word's look",
    elsewhere={
      "class token": "the visual token that belongs to no picture",
      "absent": "empty slots, which the model looks at as well",
    },
  )


def of_caption(model: System) -> MapKind:
  """Describes attention to the words of a caption, by layer."""
  by_entity = getattr(model, "pooling", "entity_start") == "entity_start"
  return of_attention(model.text.num_layers, ())._replace(
    cell=(
      "share of a word's attention (softmax over text and caption, mean over"
      " heads and over the word's WordPieces) that goes to a word of the"
      " caption, summed over its WordPieces; not renormalised, so the caption's"
      " words and elsewhere add up to 1"
    ),
    elsewhere={
      "text": "the post's own text, special tokens of text and caption included"
    },
    markers=_MARKERS + (_READ if by_entity else "") + ".",
    parts="The model reads the words of the caption, not the picture.",
    picture="not read by the model, which reads its caption",
    nothing="No caption: there is nothing to align.",
    # Where the keys of the text begin depends on the batch.
    num_visual=None,
    inputs="captions",
  )


def _mean_over(
  title: str, config: ViLBERTConfig | HVPNeTConfig, cell: str
) -> MapKind:
  """Describes attention to regions, in maps of equal kind and their mean."""
  by_entity = config.pooling == "entity_start"
  named = {name: f"{title} {name}" for name in config.weight_names}
  return _regions(
    titles={"mean": f"mean over {title}s"} | named,
    combine=np.mean,
    pool=np.mean,
    cell=cell,
    unit="% of a word's attention",
    elsewhere={},
    markers=_MARKERS + (_READ if by_entity else "") + ".",
    parts=_PARTS.format("mean"),
  )


def _co_attention(config: ViLBERTConfig) -> MapKind:
  """Describes the attention of text to the other stream, by connection."""
  kind = _mean_over(
    "connection",
    config,
    "share of a word's co-attention (softmax over the whole picture and its"
    " objects, mean over heads and over the word's WordPieces) that goes to an"
    " object; not renormalised, so objects and the whole picture add up to 1",
  )
  return kind._replace(
    unit="% of a word's co-attention",
    elsewhere={"whole picture": "the token that precedes the objects"},
  )


_MIXTURES = {
  "cell": (
    "weight that an object gives to a word, summed over the word's WordPieces"
  ),
  "structural": (
    "structural: similarity between a word's position in the dependency graph"
    " and an object's in the scene graph, for the objects that the word keeps"
  ),
  "semantic": (
    "semantic: the share of an object's attention (softmax over tokens) that"
    " goes to a word; the rest goes to tokens that belong to no word"
  ),
  "sum": (
    "sum: structural + semantic, the weights by which an object mixes the"
    " text's values; the total is not fixed"
  ),
  "absent": "absent objects are read as well, but have no column",
}


def _mixtures(config: MEGAConfig) -> MapKind:
  """Describes the weights by which objects mix the text's tokens.

  Tokens are keys, so a word has the sum of its tokens' weights: the structural
  alignment is divided among them, as is attention.
  """
  titles = {name: name for name in config.weight_names}
  # Joined mixtures pass through a layer side by side and are never added.
  added = len(titles) > 1 and not config.rules.joined
  unmarked = " They have no structural weight." if config.structural else ""
  meanings = ["cell", *titles, *(["sum"] if added else [])]
  meanings += [] if config.rules.mask_objects else ["absent"]
  return _regions(
    titles=({"sum": "structural + semantic"} if added else {}) | titles,
    combine=np.sum if added else None,
    pool=np.sum,
    cell="; ".join(_MIXTURES[name] for name in meanings),
    unit="weight of a word, %",
    elsewhere={},
    markers=_MARKERS + _READ + "." + unmarked,
    parts=_PARTS.format("sum"),
  )


def _prefix(config: HVPNeTConfig) -> MapKind:
  """Describes the attention to the prefix of each region, by layer."""
  return _mean_over(
    "layer",
    config,
    "share of a word's attention (softmax over the prefix and the text, mean"
    " over heads and over the word's WordPieces) that goes to the four prefix"
    " tokens of a region; the rest goes to the text",
  )


def _weights(config: System) -> MapKind:
  """Describes the maps of a system that has no entry in `_KINDS`."""
  return _regions(
    titles={name: name for name in config.weight_names},
    combine=None,
    pool=np.mean,
    cell="weight of an object for a word, mean over the word's WordPieces",
    unit="weight for a word, %",
    elsewhere={},
    markers=_MARKERS + ".",
    parts=_PARTS.format("mean"),
  )


_KINDS: dict[str, Callable[..., MapKind]] = {
  ViLBERTConfig.system: _co_attention,
  MEGAConfig.system: _mixtures,
  HVPNeTConfig.system: _prefix,
}


def of_regions(model: System) -> MapKind:
  """Describes `ModelOutput.region_weights` of a model with `weight_names`."""
  return _KINDS.get(model.system, _weights)(model)
