"""Runs a model on pictures and writes its results as one JSON file."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from PIL import Image

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


class Done(NamedTuple):
  """Entries of all pictures in the journal, and how many are new."""

  entries: list[dict[str, Any]]
  num_new: int

  @property
  def read(self) -> list[dict[str, Any]]:
    """The entries of pictures that could be read."""
    return [entry for entry in self.entries if not entry["reason"]]


def produce(
  wanted: Sequence[Wanted], out: str, load: Callable[[], Work]
) -> Done:
  """Writes {picture: result}; the file appears complete, or stays as it was.

  Results are kept next to it in a journal. Pictures in the journal are not
  read again.

  Args:
    wanted: the pictures, in the order of the file.
    out: the file.
    load: loads the model; called after the file has been checked.

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
  work = load()
  folder, name = os.path.split(os.path.abspath(out))
  os.makedirs(folder, exist_ok=True)
  versions_now = versions.find(_PACKAGES)
  with Journal(path, work.kind, work.settings, versions_now) as journal:
    left = [picture for picture in wanted if journal.entry(picture) is None]
    _run_all(work, journal, left, len(wanted))
    entries: list[Any] = [journal.entry(picture) for picture in wanted]
    RunFolder(folder).write_text(name, _as_text(entries, work.kind))
  for entry in entries:
    if entry["reason"]:
      _log.info("No %s of %s: %s", work.kind, entry["name"], entry["reason"])
  return Done(entries, len(left))


def journal_path(out: str) -> str:
  """Returns the path of a file's journal."""
  return f"{out}.journal.jsonl"


def _run_all(
  work: Work, journal: Journal, left: Sequence[Wanted], total: int
) -> None:
  """Reads the remaining pictures, and saves each batch at once."""
  batches = list(pictures.batches(left, work.batch_size))
  with progress.bar(
    desc=work.kind, unit=" pictures", total=total, initial=total - len(left)
  ) as bar:
    for batch, opened in _open_ahead(batches):
      seen = {i: picture for i, (picture, _) in enumerate(opened) if picture}
      names = [batch[i].names for i in seen]
      found = work.run([*seen.values()], names) if seen else ()
      results = dict(zip(seen, found, strict=True))
      journal.write(
        batch,
        [results.get(i) for i in range(len(batch))],
        [reason for _, reason in opened],
      )
      bar.update(len(batch))


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
