"""The batches of a run: rows of its dataset with the fields its model reads."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import numpy as np

from ifa_jax.batch import Batch, Geometry
from ifa_jax.data.pipeline.cache import RowCache
from ifa_jax.data.schema import Prepared
from ifa_jax.runtime.data_parallel import Parallel
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.model_inputs import Inputs

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split

# "val" is the name of the files, "dev" the name in reports and commands.
SPLIT_NAMES = {"train": "train", "dev": "val", "test": "test"}


class BatchSource:
  """Reads the batches of a run.

  Attributes:
    inputs: the fields that the model reads in addition to ids and pixels.
  """

  def __init__(self, config: RunConfig, prepared: Prepared, parallel: Parallel):
    """Opens no split yet.

    Args:
      config: with all sizes of the model.
      prepared: the dataset.
      parallel: how batches are split over devices.
    """
    self._config = config
    self._prepared = prepared
    self._parallel = parallel
    self._splits: dict[str, Split] = {}
    self.inputs = Inputs(config, prepared)

  @functools.cached_property
  def geometry(self) -> Geometry:
    """Shapes of the fields that the model reads."""
    return Geometry(
      self._config.data.text_len,
      self._config.data.text_buckets,
      self._slots(),
      self._packed_buckets(),
    )

  def _packed_buckets(self) -> tuple[int, ...]:
    """Lengths that batches are packed to, where one device gets them whole."""
    whole = jax.device_count() == self._config.train.num_slices == 1
    packs = whole and self._config.model.packs_texts
    return self._config.data.packed_buckets if packs else ()

  def _slots(self) -> tuple[tuple[str, int, int], ...]:
    """Pictures and crops that the model looks at and the dataset has any of.

    Tokens that are absent in every row are masked in every row: the same
    numbers come out without them, sooner. `released` masks none.
    """
    model = self._config.model
    if not model.picture_slots or model.sees_absent:
      return model.picture_slots
    has_any = self._prepared.has_any
    return tuple(slot for slot in model.picture_slots if has_any(slot[0]))

  @functools.cached_property
  def _cache(self) -> RowCache:
    """Where decoded rows are kept."""
    place, num_rows = self._config.data.cache, self._prepared.num_rows
    return RowCache(place, num_rows, self.geometry, self._parallel)

  def num_rows(self, name: str) -> int:
    """Returns the number of rows of "train", "dev" or "test"."""
    return self._prepared.num_rows[SPLIT_NAMES[name]]

  def split(self, name: str) -> "Split":
    """Returns "train", "dev" or "test", opened once.

    Raises:
      ValueError: if shards are missing or damaged.
    """
    if name in self._splits:
      return self._splits[name]
    # Loads TensorFlow, which the state's first program does not wait for.
    from ifa_jax.data.pipeline.dataset import Split

    split = Split(self._prepared.folder, SPLIT_NAMES[name])
    if len(split) != self.num_rows(name):
      raise ValueError(
        f"{self._prepared.folder}: want {self.num_rows(name)} rows of"
        f" {split.name!r}, found {len(split)} in its shards; prepare the"
        " dataset again"
      )
    self._splits[name] = split
    return split

  def batches(
    self,
    split: "Split",
    order: np.ndarray,
    visual_rows: np.ndarray | None = None,
    on_host: bool = False,
  ) -> Iterator[Batch]:
    """Yields this process's part of all that the model reads of some batches.

    Rows are read once, unless `data.cache` is "none". Texts are trimmed to the
    longest of the global batch, including rows of other processes.

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
      self._parallel.own_columns(order),
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
    if self._config.data.layout != "nested":
      texts = self.inputs.texts(split)
      lengths = np.array([len(text.encoded.input_ids) for text in texts])
    return lengths[np.maximum(order, 0)].max(axis=1)

  def num_seen(self, split: "Split") -> list[tuple[int, ...]]:
    """Returns how much of each kind the model sees of each row."""
    texts = self.inputs.texts(split)
    seen = [
      [min(text.num_squares[field], most) for text in texts]
      for field, most, _ in self.geometry.slots
    ]
    if self._config.model.regions is not None:
      reader = self.inputs.region_reader(split)
      seen.append([reader.num_objects(row) for row in range(len(split))])
    return [*zip(*seen, strict=True)] if seen else [()] * len(split)
