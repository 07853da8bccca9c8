"""The config of a run, typed: all settings, their defaults and their meaning.

Config files start from `defaults.base`, the same settings as a ConfigDict;
`RunConfig.from_dict` reads one back. The defaults are IFAformer with visual
objects on MNRE.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from ifa_jax.data.pipeline.cache import PLACES
from ifa_jax.data.pipeline.sampling import KEEPS, UNITS, Shuffle
from ifa_jax.data.text.layouts import LAYOUTS
from ifa_jax.files import dataclass_dict
from ifa_jax.files.dataclass_dict import (
  Count,
  CountOrZero,
  Fraction,
  NonNegative,
  Range,
  Rate,
  Seed,
  check_choice,
)
from ifa_jax.models import registry
from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.config import ModelConfig

# Digest of bert-base-uncased's vocabulary; see Tokenizer.sha256.
BERT_UNCASED = (
  "436f74039a126c0ac82bb6415a69ab28f12bc33d712bdbd8552ac6d0619d2cf9"
)

# The value of `weights` for encoders that start from random values.
RANDOM = "random"

_IFAFORMER = ModelConfig(dtype=AUTO_DTYPE)

# Parameters that no pretrained encoder has; they learn faster.
NEW = r"relation_head/.*|visual/embed/(grounded|detected)_position"


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """The prepared dataset, and how a run reads it."""

  data_dir: str = "data/mnre"
  # "released", "clean" or "none", see `ifa_jax.preparation.mnre`.
  protocol: str = "released"
  # Hub id or folder of the tokenizer that the dataset is prepared with, for
  # random weights; a pretrained text encoder brings its own.
  tokenizer: str | None = None
  # Of that tokenizer; "" accepts any vocabulary of the size.
  tokenizer_sha256: str | None = BERT_UNCASED
  # T, the most tokens of a text. 80 as DeepKE; with markers MNRE-2 has at most
  # 57, and 99 % of its texts have at most 46.
  text_len: Count = 80
  # U, the most tokens of a picture's caption, for models that read captions.
  # Two tokens are [CLS] and [SEP].
  caption_len: Annotated[int, Range(3)] = 64
  # Lengths in tokens. A batch is padded to the shortest that holds it; each
  # costs a compilation.
  text_buckets: tuple[int, ...] = (44, 48, 56)
  # Mean tokens per row. A single device computes a batch without the padding
  # between its texts, in the smallest bucket that holds them; () disables this.
  # Each costs a compilation.
  packed_buckets: tuple[int, ...] = (33, 36)
  # Place of decoded rows after they are first read: "host" or "device" memory,
  # "none", or "auto", see `data.pipeline.cache`.
  cache: str = "auto"
  layout: str = "nested"  # Of a text's WordPieces, see `data.text.layouts`.
  # Output folder of `python -m data_prep.scenes`, for models that read regions.
  scenes: str | None = None
  # A text file of GloVe, word2vec or fastText for PCNN; None starts from random
  # vectors.
  word_vectors: str | None = None
  # shuffle(train) of the paper's Table 1: training rows get the pictures of
  # others, by one fixed permutation. None disables it.
  visual_shuffle_seed: Seed | None = None
  visual_shuffle_unit: str = "row"  # See `Shuffle`.
  visual_shuffle_keep: str = "nothing"

  def __post_init__(self):
    """Raises ValueError for an unknown choice, or one without effect."""
    check_choice("data.cache", self.cache, PLACES)
    check_choice("data.layout", self.layout, LAYOUTS)
    check_choice("data.visual_shuffle_unit", self.visual_shuffle_unit, UNITS)
    check_choice("data.visual_shuffle_keep", self.visual_shuffle_keep, KEEPS)
    if self.visual_shuffle_seed is None and self.visual_shuffle != Shuffle():
      raise ValueError(
        "data.visual_shuffle_seed: expected a seed with visual_shuffle_unit or"
        " visual_shuffle_keep, got None"
      )

  @property
  def visual_shuffle(self) -> Shuffle:
    """The kind of shuffle."""
    return Shuffle(self.visual_shuffle_unit, self.visual_shuffle_keep)


@dataclasses.dataclass(frozen=True)
class GroupConfig:
  """Parameters that share a learning rate."""

  # Regex that must match a parameter's whole path, such as
  # "text/layer_0/attention/query/kernel".
  pattern: str
  peak_lr: NonNegative  # Learning rate after warm-up; 0 freezes the group.


def _groups() -> dict[str, GroupConfig]:
  return {
    "new": GroupConfig(NEW, 1e-4),
    "encoder": GroupConfig(rf"(?!{NEW}).*", 1e-5),
  }


@dataclasses.dataclass(frozen=True)
class OptimConfig:
  """The optimizer: AdamW as PyTorch's; rates and warm-up as DeepKE's run.py."""

  # "adamw", or plain "sgd" with weight decay as an L2 penalty.
  algorithm: str = "adamw"
  # Name -> parameters; every parameter belongs to exactly one group.
  groups: Mapping[str, GroupConfig] = dataclasses.field(default_factory=_groups)
  # Fraction of the updates in which the rate rises, in [0, 1].
  warmup_percent: Fraction = 0.06
  warmup_steps: CountOrZero = 0  # If not 0, in place of the percentage.
  # Whether the schedule counts only full batches, as OpenNRE.
  whole_batches: bool = False
  b1: Rate = 0.9  # Decay of the mean of gradients.
  b2: Rate = 0.999  # Decay of the mean of squared gradients.
  # Added to the root of the second mean, which is 0 without a gradient.
  epsilon: Annotated[float, Range(1e-30)] = 1e-8
  bias_correction: bool = True  # Of both means.
  weight_decay: NonNegative = 0.01  # Decoupled, times the learning rate.
  # Regex over whole paths of parameters without decay; "" for none.
  decay_exclude: str = r".*/(bias|scale)"
  # Of all trained gradients together; 0 does not clip.
  clip_norm: NonNegative = 1.0

  def __post_init__(self):
    """Raises ValueError for an unknown algorithm."""
    check_choice("optim.algorithm", self.algorithm, ("adamw", "sgd"))

  @property
  def patterns(self) -> dict[str, str]:
    """The regex of each group."""
    return {name: group.pattern for name, group in self.groups.items()}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """The training loop."""

  batch_size: Count = 32  # B, rows of an update, over all devices.
  total_epochs: Count = 12
  # If not 0, the number of updates after which the run and its schedule end.
  max_steps: CountOrZero = 0
  num_slices: Count = 1  # Slices that a batch is computed in, to save memory.
  # Whether equal layers are compiled as one: a start in half the time. Updates
  # take as long if freed memory is kept, as `launch.py` does, and otherwise an
  # eighth longer on a CPU (docs/benchmarks.md).
  scan_layers: bool = True
  # Whether the backward pass recomputes scanned layers, which saves more memory
  # for a third more work.
  remat: bool = False
  # "pmap"; "jit" over a one-axis mesh; or "fsdp", which is jit with parameters
  # and moments split over the devices, for models too large to be copied.
  parallel: str = "pmap"
  # "stop" or "skip": an update whose loss or gradient is not finite is not
  # made, and the run ends there or continues.
  on_bad_numbers: str = "stop"
  log_steps: Count = 20  # Updates between two lines of metrics.
  # Updates between two checkpoints, in addition to the one after each epoch.
  checkpoint_steps: Count = 100
  progress: bool = True

  def __post_init__(self):
    """Raises ValueError for an unknown choice."""
    choices = ("stop", "skip")
    check_choice("train.on_bad_numbers", self.on_bad_numbers, choices)


@dataclasses.dataclass(frozen=True)
class EvalConfig:
  """Scoring."""

  batch_size: Count = 64  # Rows of a step, over all devices.


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """All settings of a run."""

  # Of parameters, order and dropout; DeepKE's is 1234 (train.yaml).
  seed: Seed = 1234
  # Pretrained encoders: text=ID_OR_DIR,vision=ID_OR_DIR, an output folder of
  # `python -m ifa_jax.convert`, or "random"; see `convert.cache`. Their sizes
  # win over those of `model`. None: a model without encoders.
  weights: str | None = None
  data: DataConfig = DataConfig()
  model: System = _IFAFORMER
  optim: OptimConfig = OptimConfig()
  train: TrainConfig = TrainConfig()
  eval: EvalConfig = EvalConfig()

  @classmethod
  def from_dict(cls, settings: Mapping[str, Any]) -> "RunConfig":
    """Reads nested dicts of plain values, as of `ConfigDict.to_dict`.

    Missing settings take their defaults.

    Raises:
      UnknownSettingError: for an unknown setting; names the nearest one.
      ValueError: for an impossible value.
    """
    settings = dict(settings)
    if isinstance(settings.get("model"), Mapping):
      settings["model"] = registry.from_dict(settings["model"])
    return dataclass_dict.from_dict(cls, settings)

  def to_dict(self) -> dict[str, Any]:
    """Returns nested dicts of plain values, as `from_dict` reads them."""
    settings = dataclass_dict.to_dict(self)
    return {**settings, "model": registry.to_dict(self.model)}
