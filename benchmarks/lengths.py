"""How long texts are, and what a batch of them is padded to.

Only lengths bear on what an update costs, so batches have random ids in texts
of real lengths: `MNRE` counts those of MNRE's training rows, and `count` those
of any tree.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ifa_jax.batch import Batch

# Tokens, [CLS], [SEP] and the four markers included -> rows. Of MNRE-2's 12 247
# training rows with BERT's uncased tokenizer, as `count` finds them.
MNRE: dict[int, int] = {
  10: 2, 12: 1, 13: 2, 14: 10, 15: 14, 16: 23, 17: 41, 18: 110, 19: 133,
  20: 186, 21: 286, 22: 347, 23: 452, 24: 549, 25: 574, 26: 648, 27: 633,
  28: 765, 29: 665, 30: 745, 31: 701, 32: 689, 33: 649, 34: 611, 35: 583,
  36: 508, 37: 491, 38: 369, 39: 322, 40: 253, 41: 213, 42: 188, 43: 152,
  44: 84, 45: 99, 46: 38, 47: 34, 48: 15, 49: 12, 50: 13, 51: 6, 52: 3, 53: 17,
  54: 1, 55: 10,
}  # fmt: skip


def count(raw_dir: str, tokenizer: str, text_len: int) -> dict[int, int]:
  """Returns tokens -> training rows of a raw tree.

  Args:
    raw_dir: a tree as published.
    tokenizer: a hub id or a folder.
    text_len: longer texts are cut to so many tokens.
  """
  from ifa_jax.data.mnre import tree
  from ifa_jax.data.text.tokenizer import Tokenizer

  loaded = Tokenizer.load(tokenizer)
  rows = tree.read_rows(raw_dir, "train", tree.read_relations(raw_dir))
  encoded = (
    loaded.encode(row.words, row.head, row.tail, text_len) for row in rows
  )
  return dict(sorted(Counter(len(x.input_ids) for x in encoded).items()))


def bucket_shares(
  lengths: Mapping[int, int], rows: int, buckets: Sequence[int], text_len: int
) -> dict[int, float]:
  """Returns the share of batches that is padded to each length.

  A batch's rows are drawn without replacement, as in an epoch.

  Args:
    lengths: tokens -> rows.
    rows: of a batch.
    buckets: lengths that a batch may be padded to.
    text_len: what it is padded to where no bucket holds it.
  """
  every = math.comb(sum(lengths.values()), rows)
  shares, below = {}, 0.0
  for bucket in (*sorted(b for b in buckets if b < text_len), text_len):
    fitting = sum(n for length, n in lengths.items() if length <= bucket)
    within = 1.0 if bucket == text_len else math.comb(fitting, rows) / every
    shares[bucket], below = within - below, within
  return shares


def draw(lengths: Mapping[int, int], rows: int, most: int) -> np.ndarray:
  """Returns int[rows] lengths of at most `most` tokens, the same each time."""
  rng = np.random.default_rng(0)
  fitting = {n: c for n, c in lengths.items() if n <= most}
  if not fitting:
    raise ValueError(
      f"--text_len: want at least {min(lengths)}, the shortest text's, found"
      f" {most}"
    )
  weights = np.array([*fitting.values()], float)
  return rng.choice([*fitting], rows, p=weights / weights.sum())


def shorten(batch: Batch, lengths: np.ndarray) -> Batch:
  """Cuts a numpy batch's full texts to int[B] lengths; markers stay inside."""
  real = np.arange(batch.input_ids.shape[1]) < lengths[:, None]
  last = lengths.astype(np.int32) - 1
  return batch.replace(
    input_ids=np.where(real, batch.input_ids, 0),
    attention_mask=real,
    head_start=np.minimum(batch.head_start, last),
    tail_start=np.minimum(batch.tail_start, last),
  )
