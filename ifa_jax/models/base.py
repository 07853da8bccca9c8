"""What a model's config tells of the model, for whoever feeds it.

Every system has a frozen dataclass of settings, `ModelConfig` among them, that
inherits from `System`.
"""

import dataclasses
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class RegionConfig:
  """Objects of a picture as feature vectors, found by a detector.

  Attributes:
    num_regions: M, the most objects of a picture, best score first.
    feature_dim: Dv, width of an object's vector; None: that of the data's
      scenes, which `training.model_inputs.sized` fills in.
  """

  num_regions: int = 10
  feature_dim: int | None = None


class System:
  """Defaults of what a model reads: token ids and nothing else.

  Attributes:
    system: name of the architecture, a key of `models.SYSTEMS`.
    text: a `TextConfig`, or None for a model that reads no WordPieces.
    regions: a `RegionConfig`, or None for a model that reads none.
    reads_words: whether it reads whole words, by the run's own vocabulary.
    vision: settings of a stream of pixels or of regions, or None without one.
    num_relations: C, the label "None" included.
    dtype: of the computation, "float32" or "bfloat16".
    vocab_size: words that such a model knows, None: as the data has.
    max_words: W, of such a model.
    top_k: of one that reads the alignment, see `graph_similarity.keep_best`.
    distance: likewise, see `graph_similarity.similarity`.
  """

  # A system is a dataclass of fields of its own, some of these among them.
  __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
  reads_words: ClassVar[bool] = False
  system: str = ""
  text: Any = None
  regions: RegionConfig | Any = None
  vision: Any = None
  num_relations: int
  dtype: str = "float32"
  vocab_size: int | None
  max_words: int
  top_k: int
  distance: str

  @property
  def picture_slots(self) -> tuple[tuple[str, int, int], ...]:
    """Pixels it looks at: (field of a batch, pictures a row, pixels a side)."""
    return ()

  @property
  def reads_alignment(self) -> bool:
    """Whether it reads the structural alignment of tokens and regions."""
    return False

  @property
  def sees_padding(self) -> bool:
    """Whether logits depend on how far texts are padded."""
    return False

  @property
  def sees_absent(self) -> bool:
    """Whether logits depend on pictures and crops that are not there."""
    return False

  @property
  def packs_texts(self) -> bool:
    """Whether it computes texts that are packed, see `packing`."""
    return False

  @property
  def scans_layers(self) -> bool:
    """Whether it runs layers that are stacked, see `layers.scan`."""
    return False

  @property
  def weight_names(self) -> tuple[str, ...]:
    """What each map of `ModelOutput.region_weights` is, in their order."""
    return ()

  @property
  def sees_pictures(self) -> bool:
    """Whether pictures bear on its predictions."""
    return bool(self.picture_slots) or self.regions is not None


# "auto" is left to `training.config.resolve`; no model is built with it.
AUTO_DTYPE = "auto"
DTYPES = ("float32", "bfloat16", AUTO_DTYPE)

# Distances of the structural alignment.
DISTANCES = ("l2", "sql2")
