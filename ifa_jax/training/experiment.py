"""What a config describes, put together and checked against its dataset."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ifa_jax import models
from ifa_jax.batch import Batch
from ifa_jax.data import schema
from ifa_jax.data.pipeline import cache
from ifa_jax.data.pipeline import sampling as order
from ifa_jax.data.pipeline.cache import RowCache
from ifa_jax.data.pipeline.field_shapes import Geometry
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.models import config_dict
from ifa_jax.models.base import System
from ifa_jax.runtime.data_parallel import Parallel, make_parallel
from ifa_jax.training import model_inputs as inputs
from ifa_jax.training.config import checks, dataset_settings, precision

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split

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
  model_config: System
  prepared: schema.Prepared
  parallel: Parallel

  @functools.cached_property
  def model(self):
    """The linen module."""
    return models.build(self.model_config, self.config["train"].get("remat"))

  @property
  def scans(self) -> bool:
    """Whether the model's layers are stacked where it is trained."""
    wanted = self.config["train"].get("scan_layers", True)
    return wanted and self.model_config.scans_layers

  @functools.cached_property
  def inputs(self) -> inputs.Inputs:
    """What the model reads beside ids and pixels."""
    return inputs.Inputs(self.config, self.model_config, self.prepared)

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
    return Geometry(
      data["text_len"],
      tuple(data["text_buckets"]),
      self._slots,
      self._packed_buckets,
    )

  @property
  def _packed_buckets(self) -> tuple[int, ...]:
    """What batches are packed to, where one device is given them whole."""
    whole = jax.device_count() == self.config["train"]["num_slices"] == 1
    if not whole or not self.model_config.packs_texts:
      return ()
    return tuple(self.config["data"].get("packed_buckets", ()))

  @property
  def _slots(self) -> tuple[tuple[str, int, int], ...]:
    """What the model looks at and the dataset has any of.

    Tokens that are absent in every row are masked in every row: the same
    numbers come out without them, sooner. `released` masks none.
    """
    slots = self.model_config.picture_slots
    if not slots or not self.model_config.rules.absent_masked:
      return slots
    return tuple(slot for slot in slots if self.prepared.has_any(slot[0]))

  @functools.cached_property
  def _cache(self) -> RowCache:
    """Where decoded rows are kept."""
    place = self.config["data"].get("cache", "auto")
    rows = self.prepared.num_rows
    return RowCache(place, rows, self.geometry, self.parallel)

  def batches(
    self,
    split: "Split",
    order: np.ndarray,
    visual_rows: np.ndarray | None = None,
    on_host: bool = False,
  ) -> Iterator[Batch]:
    """Yields this process's part of all that the model reads of some batches.

    Rows are read once, unless `data.cache` is "none". Text is cut as the whole
    batch allows, whose other rows other processes have.

    Args:
      split: of `split`.
      order: int64[steps, B], rows of all processes; see
        `data.pipeline.sampling`.
      visual_rows: int64[n], whose pictures each row gets; None: its own.
      on_host: whether pixels must be numpy arrays; else `data.cache` may have
        them on the devices already, as `Parallel.split` leaves them.

    Raises:
      ValueError: for a record that is damaged or of another geometry.
    """
    return split.batches(
      self.parallel.own_columns(order),
      self.geometry,
      visual_rows,
      self.inputs.readers(split),
      self._longest(split, order),
      self._cache.stores(split.name, on_host),
    )

  def _longest(self, split: "Split", order: np.ndarray) -> np.ndarray | None:
    """Returns the tokens of each batch's longest text, where it matters."""
    if not self.geometry.text_buckets:
      return None
    lengths = split.text_lengths
    if inputs.layout(self.config["data"]) != "nested":
      texts = self.inputs.texts(split)
      lengths = np.array([len(text.encoded.input_ids) for text in texts])
    return lengths[np.maximum(order, 0)].max(axis=1)

  @functools.cached_property
  def _splits(self) -> dict[str, "Split"]:
    """Those that were opened."""
    return {}

  def split(self, name: str) -> "Split":
    """Returns "train", "dev" or "test", opened once.

    Raises:
      ValueError: if shards are missing or damaged.
    """
    if name in self._splits:
      return self._splits[name]
    # Loads TensorFlow, which the state's first program does not wait for.
    from ifa_jax.data.pipeline.dataset import Split

    split = Split(self.prepared.folder, SPLIT_NAMES[name])
    if len(split) != self.num_rows(name):
      raise ValueError(
        f"{self.prepared.folder}: want {self.num_rows(name)} rows of"
        f" {split.name!r}, found {len(split)} in its shards; prepare the"
        " dataset again"
      )
    self._splits[name] = split
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
    return self._capped(self.steps_per_epoch)

  @property
  def schedule_steps(self) -> int:
    """Updates until the learning rate is 0.

    All of them; with `optim.whole_batches` as OpenNRE counts them, which leaves
    out the batch at an epoch's end that is not full.
    """
    size = self.config["train"]["batch_size"]
    whole = max(1, self.num_rows("train") // size)
    by_whole = self.config["optim"].get("whole_batches", False)
    return self._capped(whole if by_whole else self.steps_per_epoch)

  def _capped(self, steps_per_epoch: int) -> int:
    train = self.config["train"]
    steps = train["total_epochs"] * steps_per_epoch
    return min(steps, train["max_steps"] or steps)

  def visual_shuffle(
    self, split: "Split", seed: int, shuffle: Shuffle
  ) -> np.ndarray:
    """Returns int64[n], whose pictures each row gets; see `sampling`."""
    if shuffle == Shuffle():
      return order.visual_shuffle(len(split), seed)
    texts = self.inputs.texts(split)
    by_image, by_count = shuffle.unit == "image", shuffle.keep == "count"
    return order.visual_shuffle(
      len(split),
      seed,
      images=[text.img_id for text in texts] if by_image else None,
      counts=self.num_seen(split) if by_count else None,
    )

  def num_seen(self, split: "Split") -> list[tuple[int, ...]]:
    """Returns how much of each kind the model sees of each row."""
    texts = self.inputs.texts(split)
    seen = [
      [min(text.num_squares[field], most) for text in texts]
      for field, most, _ in self._slots
    ]
    if self.model_config.regions is not None:
      reader = self.inputs.region_reader(split)
      seen.append([reader.num_objects(row) for row in range(len(split))])
    return [*zip(*seen, strict=True)] if seen else [()] * len(split)

  def train_pictures(self, split: "Split") -> np.ndarray | None:
    """Returns whose pictures training rows get; None: their own."""
    data = self.config["data"]
    seed = data["visual_shuffle_seed"]
    if seed is None:
      return None
    return self.visual_shuffle(split, seed, train_shuffle(data))


def train_shuffle(data: Mapping[str, Any]) -> Shuffle:
  """Returns the shuffle of training rows' pictures that a config asks for.

  Settings that are left out take their defaults.
  """
  names = {field: f"visual_shuffle_{field}" for field in Shuffle._fields}
  return Shuffle(**{k: data[name] for k, name in names.items() if name in data})


def build(config: Mapping[str, Any]) -> Experiment:
  """Puts together what a config describes.

  Raises:
    ValueError: for a dataset that is missing or was prepared for another
      tokenizer, geometry or set of relations, a batch that the devices cannot
      split, or a model that cannot be. Names both sides.
    KeyError: for an unknown setting of the model.
  """
  config = precision.resolve(config)
  model_config = config_dict.from_dict(config["model"])
  data = config["data"]
  prepared = schema.read_metadata(
    data["data_dir"],
    data["protocol"],
    lambda: dataset_settings.command(config),
  )
  config = inputs.resolve(config, model_config, prepared)
  model_config = config_dict.from_dict(config["model"])
  checks.check_tokenizer(prepared, config)
  checks.check_dataset(prepared, model_config, data)
  checks.check_counts(config)
  checks.check_shuffle(train_shuffle(data))
  cache.check(data.get("cache", "auto"))
  parallel = make_parallel(config["train"]["parallel"])
  for section in ("train", "eval"):
    parallel.check(config[section]["batch_size"], f"{section}.batch_size")
  checks.check_slices(config["train"])
  checks.check_bad_numbers(config["train"])
  return Experiment(config, model_config, prepared, parallel)
