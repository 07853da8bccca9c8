"""The batches of a run: rows of its dataset with the fields its model reads."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import numpy as np

from ifa_jax.batch import Batch, Geometry
from ifa_jax.data.pipeline.cache import RowCache
from ifa_jax.data.pipeline.sampling import Longest
from ifa_jax.data.schema import Prepared
from ifa_jax.runtime.data_parallel import Parallel
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.model_inputs import Inputs

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split

# Name in reports and commands -> name of the files.
SPLIT_NAMES = {"train": "train", "dev": "val", "test": "test"}


class BatchSource:
  """Reads the batches of a run.

  Attributes:
    inputs: the model's fields other than ids and pixels.
  """

  def __init__(self, config: RunConfig, prepared: Prepared, parallel: Parallel):
    """Opens no split yet; the config has all sizes of the model."""
    self._config = config
    self._prepared = prepared
    self._parallel = parallel
    self._splits: dict[str, Split] = {}
    self.inputs = Inputs(config, prepared)

  @functools.cached_property
  def geometry(self) -> Geometry:
    """Shapes of the fields that the model reads."""
    data, model = self._config.data, self._config.model
    slots = model.picture_slots
    # Tokens that are absent in every row are masked in every row: leaving them
    # out is faster and changes no number. `released` masks none.
    if slots and not model.sees_absent:
      has_any = self._prepared.has_any
      slots = tuple(slot for slot in slots if has_any(slot[0]))
    # Packing needs the whole batch on one device.
    whole = jax.device_count() == self._config.train.num_slices == 1
    packed = data.packed_buckets if whole and model.packs_texts else ()
    return Geometry(data.text_len, data.text_buckets, slots, packed)

  @functools.cached_property
  def _cache(self) -> RowCache:
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
    if name not in self._splits:
      # Loads TensorFlow; the program that creates the state starts without it.
      from ifa_jax.data.pipeline.dataset import Split

      split = Split(self._prepared.folder, SPLIT_NAMES[name])
      if len(split) != self.num_rows(name):
        raise ValueError(
          f"{self._prepared.folder}: expected {self.num_rows(name)} rows of"
          f" {split.name!r}, got {len(split)} in its shards; prepare the"
          " dataset again"
        )
      self._splits[name] = split
    return self._splits[name]

  def batches(
    self,
    split: "Split",
    order: np.ndarray,
    visual_rows: np.ndarray | None = None,
    on_host: bool = False,
  ) -> Iterator[Batch]:
    """Yields this process's part of some batches, with all fields.

    Rows are read once, unless `data.cache` is "none". Text is trimmed to the
    longest example of the global batch, including examples on other processes.

    Args:
      split: one of `split`.
      order: int64[steps, B], of `data.pipeline.sampling`, all processes' rows.
      visual_rows: int64[n], whose pictures each row gets; None: its own.
      on_host: whether pixels must be numpy arrays; otherwise they may already
        be on the devices, as `Parallel.split` returns them.

    Raises:
      ValueError: for a record that is damaged or of another geometry.
    """
    return split.batches(
      self._parallel.own_columns(order),
      self.geometry,
      visual_rows,
      self.inputs.readers(split),
      self._longest(split, order, visual_rows),
      self._cache.stores(split.name, on_host),
    )

  def _longest(
    self, split: "Split", order: np.ndarray, visual_rows: np.ndarray | None
  ) -> Longest | None:
    """Returns the tokens of each batch's longest text and caption."""
    reads_caption = self._config.model.reads_caption
    if not self.geometry.text_buckets and not reads_caption:
      return None
    rows = np.maximum(order, 0)
    text, captions = self._text_lengths(split)[rows], np.zeros_like(rows)
    if reads_caption:
      shown = rows if visual_rows is None else visual_rows[rows]
      captions = self._caption_lengths(split)[shown]
    if reads_caption == "segment":
      # The caption follows the text, without its [CLS].
      text += np.maximum(captions - 1, 0)
    return Longest(text.max(axis=1), captions.max(axis=1))

  def _text_lengths(self, split: "Split") -> np.ndarray:
    # The dataset stores the lengths of its own layout.
    if self._config.data.layout == "nested":
      return split.text_lengths
    texts = self.inputs.texts(split)
    return np.array([len(text.encoded.input_ids) for text in texts])

  def _caption_lengths(self, split: "Split") -> np.ndarray:
    texts = self.inputs.texts(split)
    return np.array([len(text.caption.input_ids) for text in texts])

  def num_seen(self, split: "Split") -> list[tuple[int, ...]]:
    """Returns, for each row, the number of pictures of each kind it shows."""
    texts = self.inputs.texts(split)
    seen = [
      [min(text.num_squares[field], most) for text in texts]
      for field, most, _ in self.geometry.slots
    ]
    if self._config.model.reads_caption:
      seen.append([int(bool(text.caption.words)) for text in texts])
    if self._config.model.regions is not None:
      reader = self.inputs.region_reader(split)
      seen.append([reader.num_objects(row) for row in range(len(split))])
    return [*zip(*seen, strict=True)] if seen else [()] * len(split)
