"""The rows of each batch: a pure function of seed and epoch.

An order is int64[steps, B] of row numbers. The last batch is padded with
`FILLER`, so that every row counts once for any batch size.
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
    unit: the bundle of one "row" moves, or those of all rows of an "image".
    keep: "count" moves bundles only between rows with as many pictures and
      crops of each kind that the model reads; "nothing" anywhere.
  """

  unit: str = "row"
  keep: str = "nothing"


class Longest(NamedTuple):
  """Tokens of the longest text and caption of each batch, int[steps].

  Of all rows of a batch, also those that other processes have.
  """

  text: np.ndarray
  caption: np.ndarray


def num_batches(num_rows: int, batch_size: int) -> int:
  """Returns the number of batches, including a partly filled one."""
  return -(-num_rows // batch_size)


def in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
  """Cuts int64[n] into int64[steps, B]: [4, 5, 6] by 2 is [[4, 5], [6, -1]]."""
  steps = num_batches(len(rows), batch_size)
  filled = np.full(steps * batch_size, FILLER, np.int64)
  filled[: len(rows)] = rows
  return filled.reshape(steps, batch_size)


def evaluation_order(num_rows: int, batch_size: int) -> np.ndarray:
  """Returns all rows once, in file order."""
  return in_batches(np.arange(num_rows), batch_size)


def training_order(
  num_rows: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
  """Returns all rows once, shuffled by (seed, epoch); epochs count from 0."""
  # No state is carried between epochs: a resumed run draws the same order.
  rng = np.random.default_rng([seed, epoch])
  return in_batches(rng.permutation(num_rows), batch_size)


def visual_shuffle(
  num_rows: int,
  seed: int,
  images: Sequence[str] | None = None,
  counts: Sequence[Hashable] | None = None,
  own: Sequence[Hashable] | None = None,
) -> np.ndarray:
  """Returns int64[n], the row whose pictures each row gets.

  A fixed permutation of a split's visual bundles; texts and labels stay. As few
  bundles as possible keep their own picture: of m interchangeable bundles, k of
  which share a picture, 2k - m if that is positive, otherwise none. A drawn
  permutation changes only as far as that requires.

  Args:
    num_rows: n.
    seed: of the permutation.
    images: the name of each row's picture. Rows with one picture then move
      together, to the places of another picture with as many rows. None moves
      each row's bundle separately.
    counts: the contents of each row's bundle. Bundles move only between rows of
      equal counts. None lets them move anywhere.
    own: the name of each row's picture, which it should not get; None: all
      differ.
  """
  own = range(num_rows) if own is None else own
  numbers = {name: i for i, name in enumerate(dict.fromkeys(own))}
  # Units that may take each other's places.
  groups = collections.defaultdict(list)
  for unit in _units(num_rows, images, counts):
    key = tuple(counts[row] for row in unit) if counts else len(unit)
    groups[key].append(unit)
  # A separate generator: swaps do not change the permutations drawn later.
  rng, swaps = (np.random.default_rng(key) for key in (seed, [seed, 1]))
  sources = np.arange(num_rows)
  for units in groups.values():
    names = np.array([numbers[own[unit[0]]] for unit in units])
    order = _separate(rng.permutation(len(units)), names, swaps)
    for place, source in enumerate(order):
      sources[units[place]] = units[source]
  return sources


def _separate(
  order: np.ndarray, names: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """Swaps each place that gets its own name with one unrelated to that name.

  If one of k equal names has no such partner, all m places have the name or get
  it: 2k - m of them both, which is the minimum.

  Args:
    order: int[m], the source of each place.
    names: int[m], of places and of sources.
    rng: chooses the partners.
  """
  order = order.copy()
  for place in np.flatnonzero(names[order] == names):
    name = names[place]
    if names[order[place]] != name:
      continue  # An earlier swap has moved it.
    partners = np.flatnonzero((names != name) & (names[order] != name))
    if len(partners):
      partner = rng.choice(partners)
      order[[place, partner]] = order[[partner, place]]
  return order


def share_of_own(sources: np.ndarray, own: Sequence[Hashable]) -> float:
  """Returns the share of rows whose `sources` have the row's own picture."""
  pairs = zip(own, sources, strict=True)
  return float(np.mean([own[source] == name for name, source in pairs]))


def _units(num_rows, images, counts) -> Iterable[list[int]]:
  """Returns the rows that move together."""
  if images is None:
    return [[row] for row in range(num_rows)]
  units = collections.defaultdict(list)
  rows = range(num_rows)
  # Sorted by counts, so that two pictures with the same counts match row by
  # row.
  for row in sorted(rows, key=counts.__getitem__) if counts else rows:
    units[images[row]].append(row)
  return units.values()
