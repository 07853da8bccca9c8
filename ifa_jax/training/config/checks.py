"""What a config must be for its dataset, its devices and itself.

Every check raises ValueError, and names both sides.
"""

from collections.abc import Mapping
from typing import Any

import jax

from ifa_jax.data import schema
from ifa_jax.data.pipeline.sampling import KEEPS, UNITS, Shuffle
from ifa_jax.data.text.layouts import LAYOUTS
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.statistics import metrics
from ifa_jax.training.config import dataset_settings


def check_counts(config: Mapping[str, Any]) -> None:
  """Checks batch sizes and the numbers of steps and epochs."""
  least = {"batch_size": 1, "total_epochs": 1, "max_steps": 0}
  least |= {"log_steps": 1, "checkpoint_steps": 1}
  for section, names in (("train", least), ("eval", ("batch_size",))):
    for name in names:
      if config[section][name] < least[name]:
        raise ValueError(
          f"{section}.{name}: want at least {least[name]}, found"
          f" {config[section][name]}"
        )


def check_shuffle(shuffle: Shuffle) -> None:
  """Checks how training rows' pictures are shuffled."""
  for name, wanted in (("unit", UNITS), ("keep", KEEPS)):
    found = getattr(shuffle, name)
    if found not in wanted:
      raise ValueError(
        f"data.visual_shuffle_{name}: want one of {', '.join(wanted)}, found"
        f" {found!r}"
      )


def check_bad_numbers(train: Mapping[str, Any]) -> None:
  """Checks what a run is to do about numbers that are not finite."""
  found = train.get("on_bad_numbers", "stop")
  if found not in ("stop", "skip"):
    raise ValueError(
      f"train.on_bad_numbers: want one of stop, skip, found {found!r}"
    )


def check_slices(train: Mapping[str, Any]) -> None:
  """Checks that a device can work through its rows in slices."""
  rows = train["batch_size"] // jax.device_count()
  if train["num_slices"] < 1 or rows % train["num_slices"]:
    raise ValueError(
      f"train.num_slices: want a divisor of the {rows} rows of a device, found"
      f" {train['num_slices']}"
    )


def check_tokenizer(
  prepared: schema.Prepared, config: Mapping[str, Any]
) -> None:
  """Checks that a dataset was prepared with the tokenizer of a run."""
  wanted = config["data"]["tokenizer_sha256"]
  found = prepared.metadata["tokenizer"]
  if wanted and found["sha256"] != wanted:
    raise ValueError(
      f"{prepared.folder}: expected texts of the tokenizer"
      f" {dataset_settings.tokenizer(config)!r} (sha256 {wanted[:12]}), got"
      f" those of {found['name']!r} (sha256 {found['sha256'][:12]}); prepare it"
      f" again: {dataset_settings.command(config)} --overwrite"
      " (--config.data.tokenizer_sha256= accepts any vocabulary of this size)"
    )


def check_dataset(
  prepared: schema.Prepared, model: System, data: Mapping[str, Any]
) -> None:
  """Checks that a dataset was prepared for a model, and its texts fit."""
  found, tokenizer = prepared.metadata, prepared.metadata["tokenizer"]
  named = f"the tokenizer {tokenizer['name']!r} with "
  rows = [
    ("data.text_len", data["text_len"], found["text_len"], "texts of up to "),
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
  if not (data["tokenizer_sha256"] and size >= there):
    what = named + "vocabulary size "
    rows.append(("model.text.vocab_size", size, there, what))
  if model.picture_slots:
    for name in ("image_size", "patch_size", "num_crops"):
      wanted = getattr(model.vision, name)
      rows.append((f"model.vision.{name}", wanted, found[name], f"{name} "))
  if found["relations"][metrics.NONE].lower() != "none":
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
  layout = data.get("layout", "nested")
  if layout not in LAYOUTS:
    raise ValueError(
      f"data.layout: want one of {', '.join(LAYOUTS)}, found {layout!r}"
    )
  if model.text is not None:
    _check_text_len(model, data)


def _check_text_len(model: System, data: Mapping[str, Any]) -> None:
  if data["text_len"] > model.text.max_len:
    raise ValueError(
      f"data.text_len: want at most model.text.max_len {model.text.max_len},"
      f" found {data['text_len']}"
    )
  if model.sees_padding and data["text_buckets"]:
    form = "fusion" if isinstance(model, ModelConfig) else "variant"
    raise ValueError(
      f"data.text_buckets: want () with the released {form}, which attends to"
      " padding, so that its logits depend on the padded length; found"
      f" {tuple(data['text_buckets'])}"
    )
