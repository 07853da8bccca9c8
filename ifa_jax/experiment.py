"""What a config describes, put together and checked against its dataset."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ifa_jax import metrics, models
from ifa_jax.data import order, schema
from ifa_jax.data.pipeline import Geometry, Split
from ifa_jax.models import settings
from ifa_jax.models.config import ModelConfig
from ifa_jax.parallel import Parallel, make_parallel

# "val" is the name of the files, "dev" the name in reports and commands.
SPLIT_NAMES = {"train": "train", "dev": "val", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, its data and its devices.

  Attributes:
    config: the whole config as nested plain values.
    model_config: its `model` section.
    prepared: the dataset on disk.
    parallel: how steps are spread over devices.
  """

  config: Mapping[str, Any]
  model_config: ModelConfig
  prepared: schema.Prepared
  parallel: Parallel

  @functools.cached_property
  def model(self):
    """The linen module."""
    return models.build(self.model_config)

  @property
  def relations(self) -> list[str]:
    """Relation names by id."""
    return self.prepared.metadata["relations"]

  @property
  def protocol(self) -> str:
    """The dataset's protocol, without which no score is written."""
    return self.prepared.metadata["protocol"]

  @functools.cached_property
  def geometry(self) -> Geometry:
    """Shapes of the fields that the model reads."""
    data = self.config["data"]
    # Processes see only their own rows of a batch and would cut differently.
    buckets = data["text_buckets"] if jax.process_count() == 1 else ()
    return Geometry(data["text_len"], tuple(buckets), self._slots)

  @property
  def _slots(self) -> tuple[tuple[str, int, int], ...]:
    """What the model looks at and the dataset has any of.

    Tokens that are absent in every row are masked in every row: the same
    numbers come out without them, sooner. `released` masks none.
    """
    slots = self.model_config.picture_slots
    if not self.model_config.rules.absent_masked:
      return slots
    return tuple(slot for slot in slots if self.prepared.has_any(slot[0]))

  def split(self, name: str) -> Split:
    """Opens "train", "dev" or "test".

    Raises:
      ValueError: if shards are missing or damaged.
    """
    split = Split(self.prepared.folder, SPLIT_NAMES[name])
    if len(split) != self.num_rows(name):
      raise ValueError(
        f"{self.prepared.folder}: want {self.num_rows(name)} rows of"
        f" {split.name!r}, found {len(split)} in its shards; prepare the"
        " dataset again"
      )
    return split

  def num_rows(self, name: str) -> int:
    """Returns the number of rows of "train", "dev" or "test"."""
    return self.prepared.num_rows[SPLIT_NAMES[name]]

  @property
  def steps_per_epoch(self) -> int:
    """Updates in an epoch; the last batch may be partly filler."""
    batch_size = self.config["train"]["batch_size"]
    return order.num_batches(self.num_rows("train"), batch_size)

  @property
  def num_steps(self) -> int:
    """Updates in the whole run: all epochs, or `train.max_steps` if not 0."""
    train = self.config["train"]
    steps = train["total_epochs"] * self.steps_per_epoch
    return min(steps, train["max_steps"] or steps)

  def shuffled_pictures(self, num_rows: int) -> np.ndarray | None:
    """Returns whose pictures training rows get under shuffle(train)."""
    seed = self.config["data"]["visual_shuffle_seed"]
    return None if seed is None else order.visual_shuffle(num_rows, seed)


def build(config: Mapping[str, Any]) -> Experiment:
  """Puts together what a config describes.

  Raises:
    ValueError: for a dataset that is missing or was prepared for another
      tokenizer, geometry or set of relations, a batch that the devices cannot
      split, or a model that cannot be. Names both sides.
    KeyError: for an unknown setting of the model.
  """
  model_config = settings.from_dict(config["model"])
  data = config["data"]
  prepared = schema.read_metadata(data["data_dir"], data["protocol"])
  check_dataset(prepared, model_config, data)
  _check_counts(config)
  parallel = make_parallel(config["train"]["parallel"])
  for section in ("train", "eval"):
    parallel.check(config[section]["batch_size"], f"{section}.batch_size")
  _check_slices(config["train"])
  return Experiment(config, model_config, prepared, parallel)


def _check_counts(config: Mapping[str, Any]) -> None:
  least = {"batch_size": 1, "total_epochs": 1, "max_steps": 0}
  least |= {"log_steps": 1, "checkpoint_steps": 1}
  for section, names in (("train", least), ("eval", ("batch_size",))):
    for name in names:
      if config[section][name] < least[name]:
        raise ValueError(
          f"{section}.{name}: want at least {least[name]}, found"
          f" {config[section][name]}"
        )


def _check_slices(train: Mapping[str, Any]) -> None:
  rows = train["batch_size"] // jax.device_count()
  if train["num_slices"] < 1 or rows % train["num_slices"]:
    raise ValueError(
      f"train.num_slices: want a divisor of the {rows} rows of a device, found"
      f" {train['num_slices']}"
    )


def check_dataset(
  prepared: schema.Prepared, model: ModelConfig, data: Mapping[str, Any]
) -> None:
  """Raises ValueError for a dataset that was prepared for another model."""
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
  if data["tokenizer_sha256"]:
    wanted = data["tokenizer_sha256"]
    rows.append(
      ("data.tokenizer_sha256", wanted, tokenizer["sha256"], named + "sha256 ")
    )
  size, there = model.text.vocab_size, tokenizer["vocab_size"]
  # A pretrained table may have more rows than its tokenizer has ids.
  if not (data["tokenizer_sha256"] and size >= there):
    what = named + "vocabulary size "
    rows.append(("model.text.vocab_size", size, there, what))
  if model.vision is not None:
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
  _check_text_len(model, data)


def _check_text_len(model: ModelConfig, data: Mapping[str, Any]) -> None:
  if data["text_len"] > model.text.max_len:
    raise ValueError(
      f"data.text_len: want at most model.text.max_len {model.text.max_len},"
      f" found {data['text_len']}"
    )
  sees_padding = (
    model.vision is not None and not model.rules.padding_masked_in_visual
  )
  if sees_padding and data["text_buckets"]:
    raise ValueError(
      "data.text_buckets: want () with fusion=released, whose visual stream"
      " attends to padding, so that its logits depend on the padded length;"
      f" found {tuple(data['text_buckets'])}"
    )
