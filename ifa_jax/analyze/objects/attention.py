"""The share of the attention to objects that repeated ones draw."""

from typing import Any

import numpy as np

from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.posts import AlignedPost
from ifa_jax.analyze.objects.found import Objects
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.statistics import bootstrap
from ifa_jax.training.epochs import pictures
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.run_folder import RunFolder


def of_repeats(
  built: Experiment, folder: RunFolder, split: Split, objects: Objects
) -> dict[str, Any]:
  """Compares the repeats' share of the attention with that of their number.

  Over the rows with a repeat: of each word's weights for the objects, the mean
  over words, in the map that `analyze alignment` shows first.

  Returns:
    `map`, `rows`, `of_attention`, `of_number`, and the interval `low` to `high`
    of their difference by posts; or `missing`, the reason why there is none.
  """
  repeated = [x.any(axis=1) for x in objects.repeats.values()]
  rows = np.flatnonzero(np.any(repeated, axis=0))
  try:
    aligner = alignment_split.SplitAligner(
      built, alignment_split.load_best(folder).params
    )
    title = next(iter(alignment_split.reader(built).kind.titles.values()))
  except ValueError as error:
    return {"missing": str(error)}
  posts = bootstrap.number_posts([pictures(split)[row] for row in rows])
  if len({*posts.tolist()}) < 2:
    return {"missing": "expected repeats in several posts, got fewer than two"}
  found = aligner.posts(split, rows.tolist())
  pairs = [
    _shares(post, objects, int(row))
    for post, row in zip(found, rows, strict=True)
  ]
  shares = np.array(pairs)
  apart = shares[:, 0] - shares[:, 1]
  low, high, _ = bootstrap.interval(
    lambda drawn: drawn @ apart / drawn.sum(axis=-1), posts
  )
  return {
    "map": title,
    "rows": len(rows),
    "of_attention": float(shares[:, 0].mean()),
    "of_number": float(shares[:, 1].mean()),
    "low": float(low),
    "high": float(high),
  }


def _shares(
  post: AlignedPost, objects: Objects, row: int
) -> tuple[float, float]:
  """Returns the repeats' shares of the weights and of the number of objects."""
  weights = np.nanmean(post.alignment.words.pictures[0], axis=0)
  flags = []
  for i, column in enumerate(post.alignment.columns):
    field = objects.present.get(column.field)
    if field is not None and field[row, column.index]:
      flags.append((i, objects.repeats[column.field][row, column.index]))
  columns, repeats = map(np.array, zip(*flags, strict=True))
  total = weights[columns].sum()
  # No weight for any object: the repeats draw none.
  drawn = weights[columns][repeats].sum() / total if total else 0.0
  return float(drawn), float(repeats.mean())
