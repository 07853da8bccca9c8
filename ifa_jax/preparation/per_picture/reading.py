"""A model that reads pictures, in this process or in those of a cluster."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from PIL import Image

from ifa_jax.cluster import workers
from ifa_jax.cluster.workers import Cluster
from ifa_jax.data.images import decode
from ifa_jax.preparation.per_picture.pictures import Wanted

# Enough to open the next batch while a model reads this one.
_NUM_THREADS = 2


# A picture and None, or None and why it cannot be read.
_Opened = tuple[Image.Image | None, str | None]


class Work(NamedTuple):
  """A loaded model and its use.

  Attributes:
    kind: key of a result in the journal, "boxes" or "caption".
    run: pictures (RGB, upright) and the names in each -> a JSON value each.
    batch_size: maximum pictures of a call.
    settings: everything that results depend on; plain values.
  """

  kind: str
  run: Callable[[list[Image.Image], list[tuple[str, ...]]], Sequence[Any]]
  batch_size: int
  settings: Mapping[str, Any]

  def read(self, batch: Sequence[Wanted], opened: Sequence[_Opened]) -> "Read":
    """Runs the model on the pictures that could be opened."""
    seen = {i: picture for i, (picture, _) in enumerate(opened) if picture}
    names = [batch[i].names for i in seen]
    found = self.run([*seen.values()], names) if seen else ()
    results = dict(zip(seen, found, strict=True))
    return Read(
      batch,
      [results.get(i) for i in range(len(batch))],
      [reason for _, reason in opened],
    )


class Read(NamedTuple):
  """Pictures, the result of each, and why it could not be read, else None."""

  batch: Sequence[Wanted]
  results: Sequence[Any]
  reasons: Sequence[str | None]


class Reader(NamedTuple):
  """A model, in this process or in those of a cluster; see `Work`.

  Attributes:
    kind: key of a result in the journal.
    batch_size: maximum pictures of a batch.
    settings: everything that results depend on.
    read_all: batches of pictures -> the results of each, in any order.
  """

  kind: str
  batch_size: int
  settings: Mapping[str, Any]
  read_all: Callable[[Sequence[list[Wanted]]], Iterable[Read]]


def here(work: Work) -> Reader:
  """Reads in this process."""

  def read_all(batches: Sequence[list[Wanted]]) -> Iterator[Read]:
    return (work.read(*opened) for opened in _open_ahead(batches))

  return Reader(work.kind, work.batch_size, work.settings, read_all)


def there(cluster: Cluster, load: Callable[[], Work]) -> Reader:
  """Reads in the processes of a cluster, each of which loads the model.

  One of them is asked for the settings: this machine may have no GPU.
  """
  ((kind, batch_size, settings),) = cluster.run(
    functools.partial(_load_settings, load), [None]
  )

  def read_all(batches: Sequence[list[Wanted]]) -> Iterator[Read]:
    found = cluster.run(
      functools.partial(_load_reading, load), [*enumerate(batches)]
    )
    return (Read(batches[i], *read) for i, *read in found)

  return Reader(kind, batch_size, settings, read_all)


def _load_settings(load: Callable[[], Work]) -> workers.Job:
  kind, _, batch_size, settings = load()
  return lambda _: (kind, batch_size, settings)


def _load_reading(load: Callable[[], Work]) -> workers.Job:
  work = load()

  def read(item: Any) -> tuple[Any, ...]:
    number, listed = item
    batch = [
      Wanted(name, path, tuple(names), size)
      for name, path, names, size in listed
    ]
    found = work.read(batch, [_open(picture) for picture in batch])
    return number, found.results, found.reasons

  return read


def _open_ahead(
  batches: Sequence[list[Wanted]],
) -> Iterator[tuple[list[Wanted], list[_Opened]]]:
  """Yields batches with their pictures, while the next is being opened."""
  with ThreadPoolExecutor(_NUM_THREADS) as pool:
    opening = None
    for batch in [*batches, None]:
      following = (batch, pool.map(_open, batch)) if batch else None
      if opening:
        yield opening[0], list(opening[1])
      opening = following


def _open(wanted: Wanted) -> _Opened:
  try:
    return decode.open_picture(wanted.path), None
  except ValueError as error:
    return None, str(error).removeprefix(f"{wanted.path}: ")
