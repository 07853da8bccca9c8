"""The config of a run, typed: all settings, their defaults and their meaning.

A config file starts from `defaults.base`, which has these settings as a
ConfigDict; `RunConfig.from_dict` reads one back. The defaults are IFAformer
with visual objects on MNRE.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ifa_jax.data.pipeline.cache import PLACES
from ifa_jax.data.pipeline.sampling import KEEPS, UNITS, Shuffle
from ifa_jax.data.text.layouts import LAYOUTS
from ifa_jax.files import dataclass_dict
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models import registry
from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.config import ModelConfig

# Of bert-base-uncased's vocabulary; see Tokenizer.sha256.
BERT_UNCASED = (
  "436f74039a126c0ac82bb6415a69ab28f12bc33d712bdbd8552ac6d0619d2cf9"
)

# The value of `weights` for encoders that start from random values.
RANDOM = "random"

_IFAFORMER = ModelConfig(dtype=AUTO_DTYPE)

# Parameters that no pretrained encoder brings; they learn faster.
NEW = r"relation_head/.*|visual/embed/(grounded|detected)_position"


def _check_least(name: str, found: int, least: int) -> None:
  if found < least:
    raise ValueError(f"{name}: expected at least {least}, got {found}")


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """The prepared dataset, and how a run reads it.

  Attributes:
    data_dir: folder of the dataset.
    protocol: "released", "clean" or "none", see `ifa_jax.preparation.mnre`.
    tokenizer: hub id or folder of the tokenizer that the dataset is prepared
      with, for random weights; a pretrained text encoder brings its own.
    tokenizer_sha256: of that tokenizer; "" accepts any vocabulary of the size.
    text_len: T, the most tokens of a text. 80 as DeepKE; with markers MNRE-2
      has at most 57, and 99 % of its texts have at most 46.
    text_buckets: lengths, in tokens. A batch is padded to the shortest that
      holds it; each costs a compilation.
    packed_buckets: tokens per row. One device computes a batch without the
      padding between its texts where so many a row, on average, hold them; ()
      pads. Each costs a compilation.
    cache: where decoded rows are kept after they are first read: "host" or
      "device" memory, "none", or "auto", see `data.pipeline.cache`.
    layout: of a text's WordPieces, see `data.text.layouts`.
    scenes: folder that `python -m data_prep.scenes` wrote, for models that read
      regions.
    word_vectors: a text file of GloVe, word2vec or fastText for PCNN; None
      starts from random vectors.
    visual_shuffle_seed: shuffle(train) of the paper's Table 1: training rows
      get the pictures of others, by one fixed permutation. None: their own.
    visual_shuffle_unit: see `Shuffle.unit`.
    visual_shuffle_keep: see `Shuffle.keep`.
  """

  data_dir: str = "data/mnre"
  protocol: str = "released"
  tokenizer: str | None = None
  tokenizer_sha256: str | None = BERT_UNCASED
  text_len: int = 80
  text_buckets: tuple[int, ...] = (44, 48, 56)
  packed_buckets: tuple[int, ...] = (33, 36)
  cache: str = "auto"
  layout: str = "nested"
  scenes: str | None = None
  word_vectors: str | None = None
  visual_shuffle_seed: int | None = None
  visual_shuffle_unit: str = "row"
  visual_shuffle_keep: str = "nothing"

  def __post_init__(self):
    """Raises ValueError for a choice that cannot be."""
    check_choice("data.cache", self.cache, PLACES)
    check_choice("data.layout", self.layout, LAYOUTS)
    check_choice("data.visual_shuffle_unit", self.visual_shuffle_unit, UNITS)
    check_choice("data.visual_shuffle_keep", self.visual_shuffle_keep, KEEPS)

  @property
  def visual_shuffle(self) -> Shuffle:
    """The kind of shuffle that `visual_shuffle_seed` asks for."""
    return Shuffle(self.visual_shuffle_unit, self.visual_shuffle_keep)


@dataclasses.dataclass(frozen=True)
class GroupConfig:
  """Parameters that share a learning rate.

  Attributes:
    pattern: regex that must match a parameter's whole path, such as
      "text/layer_0/attention/query/kernel".
    peak_lr: learning rate after warm-up; 0 freezes the group.
  """

  pattern: str
  peak_lr: float


def _groups() -> dict[str, GroupConfig]:
  return {
    "new": GroupConfig(NEW, 1e-4),
    "encoder": GroupConfig(rf"(?!{NEW}).*", 1e-5),
  }


@dataclasses.dataclass(frozen=True)
class OptimConfig:
  """The optimizer: AdamW as PyTorch's; rates and warm-up as DeepKE's run.py.

  Attributes:
    algorithm: "adamw", or "sgd": plain, weight decay being its L2 penalty.
    groups: name -> parameters; every parameter belongs to exactly one group.
    warmup_percent: fraction of the updates in which the rate rises, in [0, 1].
    warmup_steps: if not 0, in place of the percentage.
    whole_batches: whether the rate reaches 0 by the count of full batches
      alone, as in OpenNRE.
    b1: decay of the mean of gradients.
    b2: decay of the mean of squared gradients.
    epsilon: added to the root of the second mean.
    bias_correction: of both means.
    weight_decay: decoupled, times the learning rate.
    decay_exclude: regex over whole paths of what is not decayed; "" decays all.
    clip_norm: of all trained gradients together; 0 does not clip.
  """

  algorithm: str = "adamw"
  groups: Mapping[str, GroupConfig] = dataclasses.field(default_factory=_groups)
  warmup_percent: float = 0.06
  warmup_steps: int = 0
  whole_batches: bool = False
  b1: float = 0.9
  b2: float = 0.999
  epsilon: float = 1e-8
  bias_correction: bool = True
  weight_decay: float = 0.01
  decay_exclude: str = r".*/(bias|scale)"
  clip_norm: float = 1.0

  def __post_init__(self):
    """Raises ValueError for an unknown algorithm."""
    check_choice("optim.algorithm", self.algorithm, ("adamw", "sgd"))

  @property
  def patterns(self) -> dict[str, str]:
    """The regex of each group."""
    return {name: group.pattern for name, group in self.groups.items()}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """The training loop.

  Attributes:
    batch_size: B, rows of an update, over all devices.
    total_epochs: epochs of the run.
    max_steps: if not 0, the run, its schedule included, ends after so many
      updates.
    num_slices: slices that a batch is computed in, where memory is short.
    scan_layers: whether equal layers are compiled as one: a start in half the
      time. Updates take as long where freed memory is kept, as `launch.py`
      keeps it, and else an eighth longer on a CPU (benchmarks/README.md).
    remat: whether the backward pass recomputes scanned layers: less memory
      still, a third more work.
    parallel: "pmap", or "jit" over a one-axis mesh.
    on_bad_numbers: an update whose loss or gradient is not finite is not made;
      the run ends there ("stop") or continues ("skip").
    log_steps: updates between two lines of metrics.
    checkpoint_steps: updates between two checkpoints, in addition to the one
      after each epoch.
    progress: whether a progress bar is shown.
  """

  batch_size: int = 32
  total_epochs: int = 12
  max_steps: int = 0
  num_slices: int = 1
  scan_layers: bool = True
  remat: bool = False
  parallel: str = "pmap"
  on_bad_numbers: str = "stop"
  log_steps: int = 20
  checkpoint_steps: int = 100
  progress: bool = True

  def __post_init__(self):
    """Raises ValueError for a count or a choice that cannot be."""
    positive = ("batch_size", "total_epochs", "log_steps", "checkpoint_steps")
    for name in positive:
      _check_least(f"train.{name}", getattr(self, name), 1)
    _check_least("train.max_steps", self.max_steps, 0)
    choices = ("stop", "skip")
    check_choice("train.on_bad_numbers", self.on_bad_numbers, choices)


@dataclasses.dataclass(frozen=True)
class EvalConfig:
  """Scoring.

  Attributes:
    batch_size: rows of a step, over all devices.
  """

  batch_size: int = 64

  def __post_init__(self):
    """Raises ValueError for a batch without rows."""
    _check_least("eval.batch_size", self.batch_size, 1)


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """All settings of a run.

  Attributes:
    seed: of parameters, order and dropout; DeepKE's is 1234 (train.yaml).
    weights: pretrained encoders: text=ID_OR_DIR,vision=ID_OR_DIR, a folder that
      `python -m ifa_jax.convert` wrote, or "random"; see `convert.cache`. Their
      sizes win over those of `model`. None is left for models without encoders.
    data: the dataset.
    model: the architecture, by default IFAformer.
    optim: the optimizer.
    train: the training loop.
    eval: scoring.
  """

  seed: int = 1234
  weights: str | None = None
  data: DataConfig = DataConfig()
  model: System = _IFAFORMER
  optim: OptimConfig = OptimConfig()
  train: TrainConfig = TrainConfig()
  eval: EvalConfig = EvalConfig()

  @classmethod
  def from_dict(cls, settings: Mapping[str, Any]) -> "RunConfig":
    """Reads a config file's settings, or those that a run recorded.

    Args:
      settings: nested dicts of plain values, as `ConfigDict.to_dict` returns
        them; settings that are left out take their defaults.

    Raises:
      UnknownSettingError: for an unknown setting; names the nearest one.
      ValueError: for a value that cannot be.
    """
    settings = dict(settings)
    if isinstance(settings.get("model"), Mapping):
      settings["model"] = registry.from_dict(settings["model"])
    return dataclass_dict.from_dict(cls, settings)

  def to_dict(self) -> dict[str, Any]:
    """Returns nested dicts of plain values, as `from_dict` reads them."""
    settings = dataclass_dict.to_dict(self)
    return {**settings, "model": registry.to_dict(self.model)}
