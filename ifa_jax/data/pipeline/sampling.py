"""Which rows stand in which batch: a pure function of seed and epoch.

An order is int64[steps, B] of row numbers. The last batch is filled up with
`FILLER`, so that every row counts once whatever the batch size.
"""

import collections
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

FILLER = -1
UNITS, KEEPS = ("row", "image"), ("nothing", "count")


class Shuffle(NamedTuple):
  """A kind of visual shuffle.

  Attributes:
    unit: what moves: the bundle of a "row", or of all rows of an "image".
    keep: "count" moves bundles only between rows that have as many pictures
      and crops of each kind that the model looks at; "nothing": anywhere.
  """

  unit: str = "row"
  keep: str = "nothing"


def num_batches(num_rows: int, batch_size: int) -> int:
  """Returns how many batches hold all rows, the last maybe partly filler."""
  return -(-num_rows // batch_size)


def in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
  """Cuts int64[n] into int64[steps, B]: [4, 5, 6] by 2 is [[4, 5], [6, -1]]."""
  steps = num_batches(len(rows), batch_size)
  filled = np.full(steps * batch_size, FILLER, np.int64)
  filled[: len(rows)] = rows
  return filled.reshape(steps, batch_size)


def evaluation_order(num_rows: int, batch_size: int) -> np.ndarray:
  """Returns all rows once, as they are stored."""
  return in_batches(np.arange(num_rows), batch_size)


def training_order(
  num_rows: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
  """Returns all rows once, shuffled by (seed, epoch); epochs count from 0."""
  rng = np.random.default_rng([seed, epoch])
  return in_batches(rng.permutation(num_rows), batch_size)


def visual_shuffle(
  num_rows: int,
  seed: int,
  images: Sequence[str] | None = None,
  counts: Sequence[Hashable] | None = None,
  own: Sequence[Hashable] | None = None,
) -> np.ndarray:
  """Returns int64[n]: whose pictures each row gets under the visual shuffle.

  One fixed permutation of a split's visual bundles; text and labels stay. Of m
  bundles that may take each other's places, as few keep their picture as can:
  2k - m if k of them have one picture and 2k > m, else none. A permutation that
  is drawn without any is kept as it is; in others, few bundles are swapped.

  Args:
    num_rows: n.
    seed: of the permutation.
    images: the name of each row's picture. Rows that share one go on sharing
      one: all their bundles move together, into the places of a picture with
      as many rows. None moves each row's bundle by itself.
    counts: what a row's bundle is made of. Bundles move only between rows of
      equal counts. None lets them move anywhere.
    own: the name of each row's picture, that it should not get; None: each row
      has one of its own.
  """
  own = range(num_rows) if own is None else own
  numbers = {name: i for i, name in enumerate(dict.fromkeys(own))}
  places = collections.defaultdict(list)
  for unit in _units(num_rows, images, counts):
    key = tuple(counts[row] for row in unit) if counts else len(unit)
    places[key].append(unit)
  # Swaps have draws of their own, so that all else is as without them.
  rng, swaps = (np.random.default_rng(key) for key in (seed, [seed, 1]))
  sources = np.arange(num_rows)
  for alike in places.values():
    names = np.array([numbers[own[unit[0]]] for unit in alike])
    order = _part(rng.permutation(len(alike)), names, swaps)
    for place, source in enumerate(order):
      sources[alike[place]] = alike[source]
  return sources


def _part(
  order: np.ndarray, names: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """Swaps what has its own name against what neither has it nor comes from it.

  Where there is no such partner for one of k equal names, all m places have
  that name or get it: 2k - m of them both, which is the least there can be.

  Args:
    order: int[m], the source of each place.
    names: int[m], of each place and source.
    rng: of the partners.
  """
  order = order.copy()
  for place in np.flatnonzero(names[order] == names):
    name = names[place]
    if names[order[place]] != name:
      continue  # Was the partner of one before it.
    partners = np.flatnonzero((names != name) & (names[order] != name))
    if len(partners):
      partner = rng.choice(partners)
      order[[place, partner]] = order[[partner, place]]
  return order


def share_of_own(sources: np.ndarray, own: Sequence[Hashable]) -> float:
  """Returns the share of rows that get their own picture.

  Args:
    sources: int[n], as `visual_shuffle` returns it.
    own: the name of each row's picture.
  """
  same = [
    own[source] == name for name, source in zip(own, sources, strict=True)
  ]
  return float(np.mean(same))


def _units(num_rows, images, counts) -> Iterable[list[int]]:
  """Returns the rows that move together, those of equal counts side by side."""
  if images is None:
    return [[row] for row in range(num_rows)]
  units = collections.defaultdict(list)
  rows = range(num_rows)
  for row in sorted(rows, key=counts.__getitem__) if counts else rows:
    units[images[row]].append(row)
  return units.values()
