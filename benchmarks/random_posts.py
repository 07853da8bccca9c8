"""Random posts whose texts are as long as MNRE's.

Only the lengths determine the cost of an update, so token ids are random.
"""

import math

import numpy as np

from ifa_jax import benchmark
from ifa_jax.batch import Batch
from ifa_jax.models import replace
from ifa_jax.models.config import ModelConfig

# DeepKE's max_seq (conf/train.yaml), and the buckets of
# ifa_jax/training/config/defaults.py.
TEXT_LEN, BUCKETS, PACKED_BUCKETS = 80, (44, 48, 56), (33, 36)
# Class token and crops; the same with the whole picture.
VISUAL_TOKENS = ("61", "110")
# Tokens -> rows, including [CLS], [SEP] and the four markers: the 12 247
# training rows of MNRE-2 with BERT's uncased tokenizer.
MNRE_LENGTHS: dict[int, int] = {
  10: 2, 12: 1, 13: 2, 14: 10, 15: 14, 16: 23, 17: 41, 18: 110, 19: 133,
  20: 186, 21: 286, 22: 347, 23: 452, 24: 549, 25: 574, 26: 648, 27: 633,
  28: 765, 29: 665, 30: 745, 31: 701, 32: 689, 33: 649, 34: 611, 35: 583,
  36: 508, 37: 491, 38: 369, 39: 322, 40: 253, 41: 213, 42: 188, 43: 152,
  44: 84, 45: 99, 46: 38, 47: 34, 48: 15, 49: 12, 50: 13, 51: 6, 52: 3, 53: 17,
  54: 1, 55: 10,
}  # fmt: skip


def make_model(size: str, dtype: str, visual_tokens: str) -> ModelConfig:
  """Returns IFAformer in one of `benchmark.SIZES` and `VISUAL_TOKENS`."""
  model = benchmark.make_model("objects", size, dtype)
  return replace(model, use_image=visual_tokens == "110")


def bucket_shares(batch_size: int) -> dict[int, float]:
  """Returns bucket -> share of the batches of an epoch padded to it."""
  # Rows of a batch are drawn without replacement.
  total = math.comb(sum(MNRE_LENGTHS.values()), batch_size)
  shares, smaller = {}, 0.0
  for bucket in (*BUCKETS, TEXT_LEN):
    fitting = sum(n for length, n in MNRE_LENGTHS.items() if length <= bucket)
    within = math.comb(fitting, batch_size) / total
    shares[bucket], smaller = within - smaller, within
  return shares


def draw_lengths(rows: int, text_len: int) -> np.ndarray:
  """Returns int[rows], the same on each call.

  Raises:
    ValueError: if no text has at most `text_len` tokens.
  """
  fitting = {n: c for n, c in MNRE_LENGTHS.items() if n <= text_len}
  if not fitting:
    raise ValueError(
      f"--text_len: expected at least {min(MNRE_LENGTHS)}, the length of the"
      f" shortest text, got {text_len}"
    )
  weights = np.array([*fitting.values()], float)
  rng = np.random.default_rng(0)
  return rng.choice([*fitting], rows, p=weights / weights.sum())


def make_batch(model: ModelConfig, lengths: np.ndarray, text_len: int) -> Batch:
  """Returns numpy posts with int[B] tokens each, padded to `text_len`."""
  batch = benchmark.random_batch(model, len(lengths), text_len)
  present = np.arange(text_len) < lengths[:, None]
  # Entity markers stay inside the shortened texts.
  last = lengths.astype(np.int32) - 1
  return batch.replace(
    input_ids=np.where(present, batch.input_ids, 0),
    attention_mask=present,
    head_start=np.minimum(batch.head_start, last),
    tail_start=np.minimum(batch.tail_start, last),
  )
