"""Checks of a config against its dataset and its devices.

Every check raises ValueError, and names both sides.
"""

import jax

from ifa_jax.data import relation_names, schema
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime.data_parallel import Parallel
from ifa_jax.statistics import metrics
from ifa_jax.training.config import dataset_settings
from ifa_jax.training.config.run_config import DataConfig, RunConfig


def check_devices(config: RunConfig, parallel: Parallel) -> None:
  """Checks that devices can share batches, and compute theirs in slices."""
  parallel.check(config.train.batch_size, "train.batch_size")
  parallel.check(config.eval.batch_size, "eval.batch_size")
  rows = config.train.batch_size // jax.device_count()
  num_slices = config.train.num_slices
  if num_slices < 1 or rows % num_slices:
    raise ValueError(
      f"train.num_slices: want a divisor of the {rows} rows of a device, found"
      f" {num_slices}"
    )


def check_tokenizer(prepared: schema.Prepared, config: RunConfig) -> None:
  """Checks that a dataset was prepared with the tokenizer of a run."""
  wanted = config.data.tokenizer_sha256
  found = prepared.metadata["tokenizer"]
  if wanted and found["sha256"] != wanted:
    raise ValueError(
      f"{prepared.folder}: expected texts of the tokenizer"
      f" {dataset_settings.tokenizer(config)!r} (sha256 {wanted[:12]}), got"
      f" those of {found['name']!r} (sha256 {found['sha256'][:12]}); prepare it"
      f" again: {dataset_settings.command(config)} --overwrite"
      " (--config.data.tokenizer_sha256= accepts any vocabulary of this size)"
    )


def check_dataset(prepared: schema.Prepared, config: RunConfig) -> None:
  """Checks that a dataset was prepared for a model, and its texts fit."""
  model, data = config.model, config.data
  found, tokenizer = prepared.metadata, prepared.metadata["tokenizer"]
  named = f"the tokenizer {tokenizer['name']!r} with "
  rows = [
    ("data.text_len", data.text_len, found["text_len"], "texts of up to "),
    (
      "model.num_relations",
      model.num_relations,
      len(found["relations"]),
      "a relation count of ",
    ),
  ]
  there = tokenizer["vocab_size"]
  size = model.text.vocab_size if model.text is not None else there
  # A pretrained table may have more rows than its tokenizer has ids.
  if not (data.tokenizer_sha256 and size >= there):
    what = named + "vocabulary size "
    rows.append(("model.text.vocab_size", size, there, what))
  if model.picture_slots:
    for name in ("image_size", "patch_size", "num_crops"):
      wanted = getattr(model.vision, name)
      rows.append((f"model.vision.{name}", wanted, found[name], f"{name} "))
  relation_names.check(found["relations"], prepared.folder)
  if not relation_names.is_none(found["relations"][metrics.NONE]):
    raise ValueError(
      f"{prepared.folder}: want None as the first relation, found"
      f" {found['relations'][metrics.NONE]!r}"
    )
  for setting, wanted, there, what in rows:
    if wanted != there:
      raise ValueError(
        f"{prepared.folder}: prepared for {what}{there}, but {setting} is"
        f" {wanted}; prepare it again or change the setting"
      )
  if model.text is not None:
    _check_text_len(model, data)


def _check_text_len(model: System, data: DataConfig) -> None:
  if data.text_len > model.text.max_len:
    raise ValueError(
      f"data.text_len: want at most model.text.max_len {model.text.max_len},"
      f" found {data.text_len}"
    )
  if model.sees_padding and data.text_buckets:
    form = "fusion" if isinstance(model, ModelConfig) else "variant"
    raise ValueError(
      f"data.text_buckets: want () with the released {form}, which attends to"
      " padding, so that its logits depend on the padded length; found"
      f" {data.text_buckets}"
    )
