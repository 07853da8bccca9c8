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
  over words. A repeat is a later object, with a lower score than the first.

  Returns:
    `rows`, `of_number`, and `maps`: title of a map of `analyze alignment` ->
    `of_attention`, and the interval `low` to `high` by posts of its difference
    from `of_number`; or `missing`, the reason why there is none.
  """
  repeated = [x.any(axis=1) for x in objects.repeats.values()]
  rows = np.flatnonzero(np.any(repeated, axis=0))
  try:
    titles = alignment_split.reader(built).kind.titles.values()
  except ValueError as error:
    return {"missing": str(error)}
  posts = bootstrap.number_posts([pictures(split)[row] for row in rows])
  if len({*posts.tolist()}) < 2:
    return {"missing": "fewer than two posts have repeats"}
  params = alignment_split.load_best(folder).params
  aligner = alignment_split.SplitAligner(built, params)
  pairs = [
    _shares(post, objects, int(row))
    for post, row in zip(aligner.posts(split, rows.tolist()), rows, strict=True)
  ]
  of_attention, of_number = map(np.array, zip(*pairs, strict=True))
  return {
    "rows": len(rows),
    "of_number": float(of_number.mean()),
    "maps": {
      title: _compare(of_attention[:, i], of_number, posts)
      for i, title in enumerate(titles)
    },
  }


def _compare(
  of_attention: np.ndarray, of_number: np.ndarray, posts: np.ndarray
) -> dict[str, float]:
  apart = of_attention - of_number
  low, high, _ = bootstrap.interval(
    lambda drawn: drawn @ apart / drawn.sum(axis=-1), posts
  )
  mean = float(of_attention.mean())
  return {"of_attention": mean, "low": float(low), "high": float(high)}


def _shares(
  post: AlignedPost, objects: Objects, row: int
) -> tuple[np.ndarray, float]:
  """Returns the repeats' share of each map's weights, and of the objects."""
  weights = np.nanmean(post.alignment.words.pictures, axis=1)
  flags = []
  for i, column in enumerate(post.alignment.columns):
    present = objects.present.get(column.field)
    if present is not None and present[row, column.index]:
      flags.append((i, objects.repeats[column.field][row, column.index]))
  columns, repeats = map(np.array, zip(*flags, strict=True))
  total = weights[:, columns].sum(axis=1)
  drawn = weights[:, columns[repeats]].sum(axis=1)
  # Without any weight for an object, the repeats draw none.
  shares = np.divide(drawn, total, out=np.zeros_like(drawn), where=total > 0)
  return shares, float(repeats.mean())
