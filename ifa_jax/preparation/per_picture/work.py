"""Runs a model on pictures and writes its results as one JSON file."""

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.cluster import connection
from ifa_jax.preparation import versions
from ifa_jax.preparation.per_picture import pictures, reading
from ifa_jax.preparation.per_picture.journal import Journal
from ifa_jax.preparation.per_picture.pictures import Wanted
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")
# Their versions can change a result; only some models are built with timm.
_PACKAGES = ("torch", "transformers", "timm", "tokenizers", "pillow")


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
  load: Callable[[], reading.Work],
  ray: str | None = None,
) -> Done:
  """Writes {picture: result}; the file appears complete, or stays as it was.

  Results are kept next to it in a journal. Pictures in the journal are not
  read again, except those that could not be read.

  Args:
    wanted: the pictures, in the order of the file.
    out: the file.
    load: loads the model; called after the file has been checked.
    ray: address of a cluster whose processes load the model, see
      `cluster.connection`; None for this one.

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
    cluster = stack.enter_context(connection.opened(ray)) if ray else None
    model = reading.there(cluster, load) if cluster else reading.here(load())
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


def _run_all(
  model: reading.Reader, journal: Journal, left: Sequence[Wanted], total: int
) -> None:
  """Reads the remaining pictures, and saves each batch at once."""
  batches = list(pictures.batches(left, model.batch_size))
  with progress.bar(
    desc=model.kind, unit=" pictures", total=total, initial=total - len(left)
  ) as bar:
    for read in model.read_all(batches):
      journal.write(*read)
      bar.update(len(read.batch))


def _as_text(entries: Sequence[Mapping[str, Any]], kind: str) -> str:
  """Returns a JSON object, one readable picture per line."""
  lines = [
    f"{json.dumps(entry['name'])}: {json.dumps(entry[kind])}"
    for entry in entries
    if not entry["reason"]
  ]
  return "{\n" + ",\n".join(lines) + "\n}\n"
