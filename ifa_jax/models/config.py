"""Shapes and switches of IFAformer, as plain frozen dataclasses."""

import dataclasses
from typing import Any

from ifa_jax.files.dataclass_dict import (
  Count,
  CountOrZero,
  NonNegative,
  Rate,
  check_choice,
)
from ifa_jax.models.base import DTYPES, Presets, System
from ifa_jax.models.exchange import FUSIONS, Exchange

# OpenAI's statistics for RGB in [0, 1], from CLIP's preprocessor_config.json.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# Ways to make a square of a picture.
RESIZES = ("fit", "squash")
# Their functions are in `layers.transformer`; configs are read without JAX.
ACTIVATIONS = ("gelu", "quick_gelu")


@dataclasses.dataclass(frozen=True)
class TextConfig:
  """Shape of the text stream; the defaults are BERT-base, uncased.

  Attributes:
    vocab_size: rows of the word table, including the four entity markers.
    max_len: rows of the position table, in tokens.
    activation: "gelu" (erf) or "quick_gelu", see `transformer.ACTIVATIONS`.
  """

  vocab_size: Count = 30526
  hidden_dim: Count = 768
  num_layers: Count = 12
  num_heads: Count = 12
  mlp_dim: Count = 3072
  max_len: Count = 512
  num_token_types: Count = 2
  norm_epsilon: NonNegative = 1e-12
  activation: str = "gelu"
  dropout_rate: Rate = 0.1
  attention_dropout_rate: Rate = 0.1


@dataclasses.dataclass(frozen=True)
class VisionConfig:
  """Shape of the visual stream; the defaults are CLIP's ViT-B/32.

  Attributes:
    image_size: side of the whole picture in pixels.
    patch_size: side of a patch in pixels.
    num_crops: K, the slots for crops of each kind.
    patch_bias: whether the patch projection has a bias (ViT yes, CLIP no).
    pre_norm: whether a LayerNorm precedes the first layer (CLIP yes).
    crop_position_stddev: of the crops' initial position tables, which are
      normally distributed. DeepKE uses torch's default, 1.0.
    image_mean: float[3] for RGB in [0, 1], as the encoder was pretrained with.
    image_std: float[3], likewise.
    resize: "fit" or "squash" to a square, as the encoder was pretrained with;
      see `data.images.decode.fit`.
  """

  image_size: Count = 224
  patch_size: Count = 32
  num_crops: CountOrZero = 3
  hidden_dim: Count = 768
  num_layers: Count = 12
  num_heads: Count = 12
  mlp_dim: Count = 3072
  norm_epsilon: NonNegative = 1e-5
  activation: str = "quick_gelu"
  patch_bias: bool = False
  pre_norm: bool = True
  crop_position_stddev: NonNegative = 0.02
  image_mean: tuple[float, float, float] = CLIP_MEAN
  image_std: tuple[float, float, float] = CLIP_STD
  resize: str = "fit"

  def __post_init__(self):
    """Raises ValueError for an unknown `resize`."""
    check_choice("model.vision.resize", self.resize, RESIZES)

  @property
  def grounded_size(self) -> int:
    """Side of a grounded crop in pixels: 4 patches."""
    return 4 * self.patch_size

  @property
  def detected_size(self) -> int:
    """Side of a detected crop in pixels: 2 patches."""
    return 2 * self.patch_size

  def slots(
    self, use_image: bool, use_objects: bool
  ) -> tuple[tuple[str, int, int], ...]:
    """Returns `System.picture_slots` of a model that reads these pictures."""
    image = (("image", 1, self.image_size),)
    crops = (
      ("grounded", self.num_crops, self.grounded_size),
      ("detected", self.num_crops, self.detected_size),
    )
    return image * use_image + crops * (use_objects and self.num_crops > 0)


@dataclasses.dataclass(frozen=True)
class TextSystem(System):
  """Settings shared by the systems that read text with BERT.

  Attributes:
    text: the text stream.
    num_relations: C, the label "None" included.
    head_dropout_rate: of the input of the layer that gives the logits.
    dtype: of the computation, "float32" or "bfloat16". Parameters, softmax,
      norms and logits are always float32.
  """

  text: TextConfig = TextConfig()
  _: dataclasses.KW_ONLY
  num_relations: Count = 23
  head_dropout_rate: Rate = 0.5
  dtype: str = "float32"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    check_choice("model.dtype", self.dtype, DTYPES)
    check_stream("text", self.text)


@dataclasses.dataclass(frozen=True)
class ModelConfig(TextSystem):
  """IFAformer and its ablations.

  Attributes:
    vision: the visual stream, or None for a text-only model.
    fusion: "paper" or "released", a preset of `Exchange`.
    exchange: departures from the preset; None is the preset itself.
    use_image: the visual tokens include the whole picture.
    use_objects: the visual tokens include grounded and detected crops.
    text_attention: whether the visual stream attends to the text.
  """

  vision: VisionConfig | None = VisionConfig()
  fusion: str = "paper"
  exchange: Exchange | None = None
  use_image: bool = True
  use_objects: bool = True
  text_attention: bool = True

  system = "ifaformer"
  presets = Presets("exchange", "fusion", FUSIONS, Exchange)

  def __post_init__(self):
    """Checks that the two streams can lend to each other.

    Raises:
      ValueError: naming the field, the expected value and the given one.
    """
    super().__post_init__()
    check_choice("model.fusion", self.fusion, tuple(FUSIONS))
    if self.vision is None:
      return
    check_equal("vision", "hidden_dim", self.text, self.vision)
    check_equal("vision", "num_layers", self.text, self.vision)
    if self.rules.raw_first_layer:
      # A stream's embeddings are split into the *other* stream's heads.
      check_equal("vision", "num_heads", self.text, self.vision)
    check_vision(self.vision)
    if not self.picture_slots:
      raise ValueError(
        "model.use_objects: expected objects or the whole picture, got neither"
        " (fusion=released never reads the whole picture); set model.vision to"
        " None for a text-only model"
      )

  @property
  def rules(self) -> Exchange:
    """The switches in effect: `exchange`, or else the preset of `fusion`."""
    return self.exchange or FUSIONS[self.fusion]

  @property
  def picture_slots(self) -> tuple[tuple[str, int, int], ...]:
    """Pixels: (field of a batch, pictures per row, side in pixels) each."""
    if self.vision is None:
      return ()
    use_image = self.use_image and self.rules.image_tokens
    return self.vision.slots(use_image, self.use_objects)

  @property
  def map_titles(self) -> tuple[str, ...]:
    """The layers; their text attends to text as well as to visual tokens."""
    if self.vision is None:
      return ()
    return tuple(f"layer {layer}" for layer in range(self.text.num_layers))

  @property
  def scans_layers(self) -> bool:
    """Whether all layers but the last compute the same function."""
    rules, text_only = self.rules, self.vision is None
    return text_only or not (rules.raw_first_layer or rules.text_lends_late)

  @property
  def packs_texts(self) -> bool:
    """Whether neither padding nor an earlier layer's keys are read."""
    return self.scans_layers and not self.sees_padding

  @property
  def sees_padding(self) -> bool:
    """Whether the length of a text changes the visual stream."""
    # A raw view mixes the tokens of a row, padding included.
    mixes = (
      self.rules.raw_first_layer or not self.rules.padding_masked_in_visual
    )
    return self.vision is not None and self.text_attention and mixes

  @property
  def sees_absent(self) -> bool:
    """Whether the slots of absent pictures and crops change the logits."""
    mixes = self.rules.raw_first_layer or not self.rules.absent_masked
    return self.vision is not None and mixes


def check_stream(name: str, stream: Any) -> None:
  """Raises ValueError for an unknown activation, or a width that no model has.

  The heads divide a stream's width evenly.
  """
  check_choice(f"model.{name}.activation", stream.activation, ACTIVATIONS)
  check_heads(name, stream)


def check_heads(name: str, stream: Any) -> None:
  """Raises ValueError unless the heads divide a stream's width evenly."""
  if stream.hidden_dim % stream.num_heads:
    raise ValueError(
      f"model.{name}.num_heads: expected a divisor of hidden_dim"
      f" {stream.hidden_dim}, got {stream.num_heads}"
    )


def check_equal(stream: str, name: str, text: Any, other: Any) -> None:
  """Raises ValueError unless a stream has the same size as the text stream."""
  if getattr(text, name) != getattr(other, name):
    raise ValueError(
      f"model.{stream}.{name}: expected the text stream's"
      f" {getattr(text, name)}, got {getattr(other, name)}"
    )


def check_vision(vision: VisionConfig) -> None:
  """Raises ValueError for a vision stream that no model can have.

  Its patches, and as in `check_stream` its heads, divide their sizes evenly.
  """
  check_stream("vision", vision)
  if vision.image_size % vision.patch_size:
    raise ValueError(
      f"model.vision.image_size: expected a multiple of patch_size"
      f" {vision.patch_size}, got {vision.image_size}"
    )


def replace(config: System, **changes: Any) -> System:
  """Returns the config with fields changed; a new preset drops departures."""
  # Parts of a config, such as the text stream, have none.
  presets = getattr(config, "presets", None)
  if presets and presets.choice in changes:
    changes.setdefault(presets.field, None)
  return dataclasses.replace(config, **changes)
