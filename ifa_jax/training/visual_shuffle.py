"""The visual shuffle of the paper's Table 1: rows with others' pictures."""

from typing import TYPE_CHECKING

import numpy as np

from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training.batch_source import BatchSource
from ifa_jax.training.config.run_config import DataConfig

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split


def shuffled_rows(
  source: BatchSource, split: "Split", seed: int, shuffle: Shuffle
) -> np.ndarray:
  """Returns int64[n], whose pictures each row gets; see `sampling`."""
  if shuffle == Shuffle():
    return sampling.visual_shuffle(len(split), seed)
  texts = source.inputs.texts(split)
  by_image, by_count = shuffle.unit == "image", shuffle.keep == "count"
  return sampling.visual_shuffle(
    len(split),
    seed,
    images=[text.img_id for text in texts] if by_image else None,
    counts=source.num_seen(split) if by_count else None,
  )


def train_rows(
  source: BatchSource, split: "Split", data: DataConfig
) -> np.ndarray | None:
  """Returns int64[n], whose pictures training rows get; None: their own."""
  if data.visual_shuffle_seed is None:
    return None
  seed, shuffle = data.visual_shuffle_seed, data.visual_shuffle
  return shuffled_rows(source, split, seed, shuffle)
