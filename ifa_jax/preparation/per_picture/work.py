"""Runs a model on pictures and writes its results as one JSON file."""

import contextlib
import dataclasses
import functools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from PIL import Image

from ifa_jax import cluster
from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data.images import decode
from ifa_jax.preparation import versions
from ifa_jax.preparation.per_picture import pictures
from ifa_jax.preparation.per_picture.journal import Journal
from ifa_jax.preparation.per_picture.pictures import Wanted
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")
# Their versions can change a result; only some models are built with timm.
_PACKAGES = ("torch", "transformers", "timm", "tokenizers", "pillow")
# Enough to open the next batch while a model reads this one.
_NUM_THREADS = 2

# A picture and None, or None and why it cannot be read.
_Opened = tuple[Image.Image | None, str | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The flags that all commands of this kind have."""

  batch_size: int | None = setting(
    "Pictures in a batch; default 1 on a CPU, 8 on a GPU.", None, least=1
  )
  device: str | None = setting(
    "PyTorch device; default a GPU if there is one.", None
  )
  limit: int | None = setting(
    "Rows to read of each split, or pictures of a folder.", None, least=1
  )
  on_error: str = setting(
    "An invalid row ends the run, or is left out.",
    "fail",
    choices=("fail", "skip"),
  )


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
    """Returns what the model finds in the pictures that could be opened."""
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


class Done(NamedTuple):
  """Entries of all pictures in the journal, and how many are new."""

  entries: list[dict[str, Any]]
  num_new: int

  @property
  def read(self) -> list[dict[str, Any]]:
    """The entries of pictures that could be read."""
    return [entry for entry in self.entries if not entry["reason"]]


def produce(
  wanted: Sequence[Wanted],
  out: str,
  load: Callable[[], Work],
  ray: str | None = None,
) -> Done:
  """Writes {picture: result}; the file appears complete, or stays as it was.

  Results are kept next to it in a journal. Pictures in the journal are not
  read again.

  Args:
    wanted: the pictures, in the order of the file.
    out: the file.
    load: loads the model; called after the file has been checked.
    ray: address of a cluster whose processes load the model, see `cluster`;
      None for this one.

  Raises:
    ValueError: for anything wrong with model or journal, or if `out` exists
      without a journal.
  """
  path = journal_path(out)
  if os.path.lexists(out) and not os.path.exists(path):
    raise ValueError(
      f"{out}: expected {os.path.basename(path)} next to it, got a file that"
      " this command did not write; choose another file to write"
    )
  folder, name = os.path.split(os.path.abspath(out))
  with contextlib.ExitStack() as stack:
    workers = stack.enter_context(cluster.connected(ray)) if ray else None
    model = _there(workers, load) if workers else _here(load())
    os.makedirs(folder, exist_ok=True)
    journal = stack.enter_context(
      Journal(path, model.kind, model.settings, versions.find(_PACKAGES))
    )
    left = [picture for picture in wanted if journal.entry(picture) is None]
    _run_all(model, journal, left, len(wanted))
    entries: list[Any] = [journal.entry(picture) for picture in wanted]
    RunFolder(folder).write_text(name, _as_text(entries, model.kind))
  for entry in entries:
    if entry["reason"]:
      _log.info("No %s of %s: %s", model.kind, entry["name"], entry["reason"])
  return Done(entries, len(left))


def journal_path(out: str) -> str:
  """Returns the path of a file's journal."""
  return f"{out}.journal.jsonl"


def _here(work: Work) -> Reader:
  def read_all(batches: Sequence[list[Wanted]]) -> Iterator[Read]:
    return (work.read(*opened) for opened in _open_ahead(batches))

  return Reader(work.kind, work.batch_size, work.settings, read_all)


def _there(workers: cluster.Cluster, load: Callable[[], Work]) -> Reader:
  """Asks one worker for the settings, as this machine may have no GPU."""
  ((kind, batch_size, settings),) = workers.run(
    functools.partial(_load_settings, load), [None]
  )

  def read_all(batches: Sequence[list[Wanted]]) -> Iterator[Read]:
    found = workers.run(
      functools.partial(_load_reading, load), [*enumerate(batches)]
    )
    return (Read(batches[i], *read) for i, *read in found)

  return Reader(kind, batch_size, settings, read_all)


def _load_settings(load: Callable[[], Work]) -> cluster.Work:
  kind, _, batch_size, settings = load()
  return lambda _: (kind, batch_size, settings)


def _load_reading(load: Callable[[], Work]) -> cluster.Work:
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


def _run_all(
  model: Reader, journal: Journal, left: Sequence[Wanted], total: int
) -> None:
  """Reads the remaining pictures, and saves each batch at once."""
  batches = list(pictures.batches(left, model.batch_size))
  with progress.bar(
    desc=model.kind, unit=" pictures", total=total, initial=total - len(left)
  ) as bar:
    for read in model.read_all(batches):
      journal.write(*read)
      bar.update(len(read.batch))


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


def _as_text(entries: Sequence[Mapping[str, Any]], kind: str) -> str:
  """Returns a JSON object, one readable picture per line."""
  lines = [
    f"{json.dumps(entry['name'])}: {json.dumps(entry[kind])}"
    for entry in entries
    if not entry["reason"]
  ]
  return "{\n" + ",\n".join(lines) + "\n}\n"
