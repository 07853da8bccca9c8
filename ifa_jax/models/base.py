"""The properties of a model's config that its callers read.

The config of every system is a frozen dataclass that inherits from `System`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from ifa_jax.files.dataclass_dict import Count

# "auto" is replaced by `training.config.resolve`; no model is built with it.
AUTO_DTYPE = "auto"
DTYPES = ("float32", "bfloat16", AUTO_DTYPE)

# Distances of the structural alignment.
DISTANCES = ("l2", "sql2")


@dataclasses.dataclass(frozen=True)
class RegionConfig:
  """Objects of a picture as feature vectors, found by a detector.

  Attributes:
    num_regions: M, the maximum number of objects, best score first.
    feature_dim: Dv, width of an object's vector. None takes the width of the
      data's scenes, filled in by `training.model_inputs.sized`.
  """

  num_regions: Count = 10
  feature_dim: Count | None = None


class Presets(NamedTuple):
  """A field of settings whose omitted ones are those of a preset.

  Attributes:
    field: name of the field, such as "exchange".
    choice: name of the field that selects the preset, such as "fusion".
    values: the presets by name.
    kind: their dataclass.
  """

  field: str
  choice: str
  values: Mapping[str, Any]
  kind: type


class System:
  """Defaults: a model that reads token ids only.

  Attributes:
    system: name of the architecture, a key of `models.SYSTEMS`.
    text: a `TextConfig`, or None for a model without WordPieces.
    regions: a `RegionConfig`, or None for a model without regions.
    reads_words: whether it reads whole words of the run's own vocabulary.
    vision: settings of a stream of pixels or of regions, or None.
    caption: whether, or by which stream, it reads captions.
    reads_caption: how it reads the picture's caption: "segment" as the second
      segment of the text, "stream" in a stream of its own, None not at all.
    num_relations: C, the label "None" included.
    dtype: of the computation, "float32" or "bfloat16".
    vocab_size: size of the vocabulary of words; None takes the data's.
    max_words: W of a model that reads words.
    top_k: of the structural alignment, see `graph_similarity.keep_best`.
    distance: likewise, see `graph_similarity.similarity`.
    presets: the settings that depart from a preset, or None.
  """

  # Subclasses are dataclasses whose fields include some of these.
  __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
  reads_words: ClassVar[bool] = False
  system: str = ""
  text: Any = None
  regions: RegionConfig | Any = None
  vision: Any = None
  caption: Any = None
  reads_caption: str | Any = None
  num_relations: int
  dtype: str = "float32"
  vocab_size: int | None
  max_words: int
  top_k: int
  distance: str
  presets: ClassVar[Presets | None] = None

  @property
  def picture_slots(self) -> tuple[tuple[str, int, int], ...]:
    """Pixels: (field of a batch, pictures per row, side in pixels) each."""
    return ()

  @property
  def reads_alignment(self) -> bool:
    """Whether it reads the structural alignment of tokens and regions."""
    return False

  @property
  def sees_padding(self) -> bool:
    """Whether logits depend on the padded length of texts."""
    return False

  @property
  def sees_absent(self) -> bool:
    """Whether logits depend on absent pictures and crops."""
    return False

  @property
  def packs_texts(self) -> bool:
    """Whether it accepts packed texts, see `packing`."""
    return False

  @property
  def scans_layers(self) -> bool:
    """Whether it accepts stacked layers, see `layers.scan`."""
    return False

  @property
  def map_titles(self) -> tuple[str, ...]:
    """Titles of the maps of `ModelOutput.text_attention`, in their order."""
    return ()

  @property
  def weight_names(self) -> tuple[str, ...]:
    """Names of the maps of `ModelOutput.region_weights`, in their order."""
    return ()

  @property
  def sees_pictures(self) -> bool:
    """Whether predictions depend on pictures, or on their captions."""
    return self.opens_pictures or self.reads_caption is not None

  @property
  def opens_pictures(self) -> bool:
    """Whether it reads pixels, or objects found in them."""
    return bool(self.picture_slots) or self.regions is not None
