"""A config with its model, dataset and devices, checked against each other."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from ifa_jax import models
from ifa_jax.batch import Batch
from ifa_jax.convert import cache
from ifa_jax.data import relation_names, schema
from ifa_jax.data.text import captions
from ifa_jax.runtime.data_parallel import Parallel
from ifa_jax.runtime.forms import make_parallel
from ifa_jax.statistics import metrics
from ifa_jax.training import model_inputs
from ifa_jax.training.batch_source import BatchSource
from ifa_jax.training.config import dataset_settings, resolve
from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.training.epochs import Epochs, shuffled_rows
from ifa_jax.workdir.run_folder import RunFolder

# Settings of a stream that no encoder decides.
_OWN = ("data.text_len", "model.vision.num_crops")


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, its data and its devices."""

  config: RunConfig  # Resolved, with all sizes of the model.
  prepared: schema.Prepared  # The dataset on disk.
  parallel: Parallel  # The form of data parallelism.

  @functools.cached_property
  def model(self) -> nn.Module:
    """The linen module."""
    return models.build(self.config.model, self.config.train.remat)

  @functools.cached_property
  def data(self) -> BatchSource:
    """The batches."""
    return BatchSource(self.config, self.prepared, self.parallel)

  @functools.cached_property
  def epochs(self) -> Epochs:
    """The steps and epochs of training."""
    return Epochs(self.config, self.data.num_rows("train"))

  @property
  def scans(self) -> bool:
    """True if the model's layers are stacked for training."""
    return self.config.train.scan_layers and self.config.model.scans_layers

  @property
  def eval_rows(self) -> int:
    """Rows of a step of evaluation: `eval.batch_size`, or a few more.

    The next multiple of the devices, so that any number of them scores a run.
    """
    devices = jax.device_count()
    return -(-self.config.eval.batch_size // devices) * devices

  def check_devices(self) -> None:
    """Raises ValueError for a training batch that the devices cannot split."""
    train = self.config.train
    self.parallel.check(train.batch_size, "train.batch_size")
    rows = train.batch_size // jax.device_count()
    if rows % train.num_slices:
      raise ValueError(
        f"train.num_slices: expected a divisor of the {rows} rows of a device,"
        f" got {train.num_slices}"
      )

  @functools.cached_property
  def visual_rows(self) -> np.ndarray | None:
    """int64[n], rows whose pictures training rows get; None: their own."""
    data = self.config.data
    if data.visual_shuffle_seed is None:
      return None
    return shuffled_rows(
      self.data,
      self.data.split("train"),
      data.visual_shuffle_seed,
      data.visual_shuffle,
    )

  def training_batches(
    self, rows: np.ndarray, on_host: bool = False
  ) -> Iterator[Batch]:
    """Yields this process's part of training batches.

    `rows` is int64[steps, B], of all processes; see `BatchSource.batches`.
    """
    split = self.data.split("train")
    return self.data.batches(split, rows, self.visual_rows, on_host)


def build(config: RunConfig, folder: RunFolder | None = None) -> Experiment:
  """Builds the experiment that a config describes.

  If a folder is given and holds a run, its relations must be the dataset's.

  Raises:
    ValueError: for a config that is not resolved, a missing dataset or one that
      was prepared for another tokenizer, geometry or set of relations. Names
      both sides.
  """
  resolve.check_resolved(config)
  prepared = schema.read_metadata(
    config.data.data_dir,
    config.data.protocol,
    lambda: dataset_settings.command(config),
  )
  # First, since the number of relations is also a size of the model, and a
  # wrong size would not show which relations differ.
  if folder is not None:
    folder.check_relations(prepared.relations)
  return of_dataset(config, prepared)


def of_dataset(config: RunConfig, prepared: schema.Prepared) -> Experiment:
  """Builds the experiment of a resolved config on a dataset.

  Raises:
    ValueError: as `build`.
  """
  # Before the checks, which compare all sizes.
  config = model_inputs.sized(config, prepared)
  check_tokenizer(prepared, config)
  check_dataset(prepared, config)
  return Experiment(config, prepared, make_parallel(config.train.parallel))


def check_tokenizer(prepared: schema.Prepared, config: RunConfig) -> None:
  """Raises ValueError for a dataset prepared with another tokenizer."""
  wanted = config.data.tokenizer_sha256
  found = prepared.metadata["tokenizer"]
  if wanted and found["sha256"] != wanted:
    command = dataset_settings.command(config, prepared.metadata)
    raise ValueError(
      f"{prepared.folder}: expected texts of the tokenizer"
      f" {dataset_settings.tokenizer(config)!r} (sha256 {wanted[:12]}), got"
      f" those of {found['name']!r} (sha256 {found['sha256'][:12]}); prepare it"
      f" again: {command} --overwrite"
      " (--config.data.tokenizer_sha256= accepts any vocabulary of this size)"
    )


def check_dataset(prepared: schema.Prepared, config: RunConfig) -> None:
  """Raises ValueError for a dataset with sizes other than the model's."""
  model, data, found = config.model, config.data, prepared.metadata
  relation_names.check(found["relations"], prepared.folder)
  if not relation_names.is_none(found["relations"][metrics.NONE]):
    raise ValueError(
      f"{prepared.folder}: expected None as the first relation, got"
      f" {found['relations'][metrics.NONE]!r}"
    )
  num_relations = len(found["relations"])
  sizes = [
    ("data.text_len", data.text_len, found["text_len"]),
    ("model.num_relations", model.num_relations, num_relations),
  ]
  vocab_size = found["tokenizer"]["vocab_size"]
  size = model.text.vocab_size if model.text is not None else vocab_size
  # A pretrained table may have more rows than its tokenizer has ids.
  if not (data.tokenizer_sha256 and size >= vocab_size):
    sizes.append(("model.text.vocab_size", size, vocab_size))
  if model.picture_slots:
    for name in ("image_size", "patch_size", "num_crops"):
      wanted = getattr(model.vision, name)
      sizes.append((f"model.vision.{name}", wanted, found[name]))
    resize = found.get("resize", "fit")
    sizes.append(("model.vision.resize", model.vision.resize, resize))
  for setting, wanted, size in sizes:
    if wanted != size:
      raise ValueError(
        f"{setting}: expected {size}, as {prepared.folder} was prepared (with"
        f" the tokenizer {found['tokenizer']['name']!r}), got {wanted};"
        f" {_advice(config, found, setting, size)}"
      )
  if model.reads_caption:
    _check_captions(prepared, config)
  check_text_len(config)


def _check_captions(prepared: schema.Prepared, config: RunConfig) -> None:
  stored = prepared.metadata.get("captions")
  if stored is None:
    raise ValueError(
      f"{prepared.folder}: expected captions of the pictures, which"
      f" {config.model.system} reads, got none; prepare it again:"
      f" {dataset_settings.command(config, prepared.metadata)} --overwrite"
    )
  if config.data.caption_len > stored["caption_len"]:
    raise ValueError(
      f"data.caption_len: expected at most {stored['caption_len']}, as"
      f" {prepared.folder} was prepared, got {config.data.caption_len}"
    )


def _advice(
  config: RunConfig, found: Mapping[str, Any], setting: str, size: Any
) -> str:
  """Returns the remedies for a size that differs from the dataset's."""
  change = f"set --config.{setting}={size}"
  if setting == "model.num_relations":
    return change
  command = dataset_settings.command(config, found)
  again = f"prepare it again: {command} --overwrite"
  if _is_decided(config, setting):
    return f"{again} (--config.weights decides it)"
  text = config.model.text
  if setting == "data.text_len" and text is not None and size > text.max_len:
    return again
  return f"{again}, or {change}"


def _is_decided(config: RunConfig, setting: str) -> bool:
  """Returns whether the encoders of a run decide a setting."""
  if setting in _OWN or config.weights in (None, RANDOM):
    return False
  encoders = cache.parse(config.weights)
  # A folder of converted weights has both sides.
  return not encoders or setting.split(".")[1] in encoders


def check_text_len(config: RunConfig) -> None:
  """Raises ValueError for texts that the model's tables cannot hold."""
  model, data = config.model, config.data
  if model.text is None:
    return
  name, longest = "data.text_len", data.text_len
  if model.reads_caption == "segment":
    name = "data.text_len with data.caption_len"
    longest = captions.segment_len(data.text_len, data.caption_len)
  if longest > model.text.max_len:
    raise ValueError(
      f"{name}: expected at most model.text.max_len {model.text.max_len}"
      f", got {longest}"
    )
  if model.reads_caption == "stream" and data.caption_len > (
    most := model.caption.max_len
  ):
    raise ValueError(
      f"data.caption_len: expected at most model.caption.max_len {most}, got"
      f" {data.caption_len}"
    )
  if model.sees_padding and data.text_buckets:
    raise ValueError(
      "data.text_buckets: expected () for a model whose logits depend on the"
      " padded length, as the released ones, which attend to padding; got"
      f" {data.text_buckets}"
    )
