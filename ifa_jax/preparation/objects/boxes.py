"""Finds the objects of a tree's pictures and writes them as a boxes file."""

import dataclasses
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

from PIL import Image

from ifa_jax.cli import progress
from ifa_jax.data.images import decode
from ifa_jax.data.mnre import tree as raw
from ifa_jax.detection import scene_builder
from ifa_jax.detection.finder import DETECTOR, GROUNDER, ObjectFinder
from ifa_jax.preparation import joins
from ifa_jax.preparation.objects import tree as object_tree
from ifa_jax.preparation.objects.journal import Journal
from ifa_jax.preparation.objects.tree import Wanted
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")
_PACKAGES = ("torch", "transformers", "timm", "tokenizers", "pillow")
# Of one batch: enough to open the next while a model looks at it.
_NUM_THREADS = 2


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.objects`.

  Attributes:
    raw_dir: a tree as published.
    out: the boxes file to write.
    detector: folder or hub id; empty for none.
    grounder: folder or hub id; empty for none.
    threshold: what a box's score must exceed.
    max_objects: the most boxes of a picture, and of each name in it.
    batch_size: pictures at once; None for what suits the device.
    device: of PyTorch; None for a GPU where there is one, else the CPU.
    limit: rows to read of each split; None for all.
    on_error: what a bad row does: fail, or skip.
  """

  raw_dir: str
  out: str
  detector: str = DETECTOR
  grounder: str = GROUNDER
  threshold: float = scene_builder.MIN_SCORE
  max_objects: int = scene_builder.NUM_OBJECTS
  batch_size: int | None = None
  device: str | None = None
  limit: int | None = None
  on_error: str = "fail"


def produce(settings: Settings) -> dict[str, int]:
  """Writes the boxes file; it appears whole, or stays as it was.

  What is found is kept beside it in a journal, `OUT.journal.jsonl`; pictures
  that are in there are not looked at again.

  Returns:
    Counts, as the command shows them.

  Raises:
    ValueError: for anything wrong with tree, models or journal, or if `out` is
      there without a journal.
  """
  wanted, missing = _read_tree(settings)
  _check_out(settings.out)
  finder = ObjectFinder(
    settings.detector or None,
    settings.grounder or None,
    threshold=settings.threshold,
    max_objects=settings.max_objects,
    batch_size=settings.batch_size,
    device=settings.device,
  )
  folder, name = os.path.split(os.path.abspath(settings.out))
  os.makedirs(folder, exist_ok=True)
  with Journal(
    journal_path(settings.out), finder.settings(), _versions()
  ) as journal:
    left = [picture for picture in wanted if journal.entry(picture) is None]
    _look(finder, journal, left, len(wanted))
    entries: list[Any] = [journal.entry(picture) for picture in wanted]
    RunFolder(folder).write_text(name, _as_text(entries))
  for entry in entries:
    if entry["reason"]:
      _log.info("No boxes of %s: %s", entry["name"], entry["reason"])
  return _count(entries, missing, left)


def journal_path(out: str) -> str:
  """Returns the path of a boxes file's journal."""
  return f"{out}.journal.jsonl"


def _read_tree(settings: Settings) -> tuple[list[Wanted], list[str]]:
  """Returns the pictures, and the names of the missing ones."""
  skip = settings.on_error == "skip"
  on_error = (lambda error: None) if skip else raw.raise_error
  wanted, missing = object_tree.read_tree(
    settings.raw_dir, settings.limit, on_error
  )
  if not wanted:
    raise ValueError(
      f"{settings.raw_dir}: none of the {len(missing)} pictures that its rows"
      " name has a file in img_org"
    )
  has_file = dict.fromkeys(missing, False)
  has_file |= dict.fromkeys((picture.name for picture in wanted), True)
  joins.tell_pictures(settings.raw_dir, has_file)
  return wanted, missing


def _check_out(out: str) -> None:
  """Raises ValueError if there is something that this command did not make."""
  if os.path.lexists(out) and not os.path.exists(journal_path(out)):
    raise ValueError(
      f"{out}: is there, and no {os.path.basename(journal_path(out))} beside"
      " it; want another --out, nothing of other origin is overwritten"
    )


def _look(
  finder: ObjectFinder, journal: Journal, left: Sequence[Wanted], total: int
) -> None:
  """Looks at all pictures that are left, and keeps each batch at once."""
  batches = list(object_tree.batches(left, finder.batch_size))
  with progress.bar(
    desc="objects", unit=" pictures", total=total, initial=total - len(left)
  ) as bar:
    for batch, opened in _opened(batches):
      seen = {i: picture for i, (picture, _) in enumerate(opened) if picture}
      found = finder.find([*seen.values()], [batch[i].names for i in seen])
      boxes = dict(zip(seen, found, strict=True))
      journal.write(
        batch,
        [boxes.get(i, []) for i in range(len(batch))],
        [reason for _, reason in opened],
      )
      bar.update(len(batch))


_Opened = tuple[Image.Image | None, str | None]


def _opened(
  batches: Sequence[list[Wanted]],
) -> Iterator[tuple[list[Wanted], list[_Opened]]]:
  """Yields batches with their pictures; the next is opened meanwhile."""
  with ThreadPoolExecutor(_NUM_THREADS) as pool:
    opening = None
    for batch in [*batches, None]:
      following = (batch, pool.map(_open, batch)) if batch else None
      if opening:
        yield opening[0], list(opening[1])
      opening = following


def _open(wanted: Wanted) -> _Opened:
  """Returns a picture and None, or None and why it cannot be read."""
  try:
    return decode.open_picture(wanted.path), None
  except ValueError as error:
    return None, str(error).removeprefix(f"{wanted.path}: ")


def _as_text(entries: Sequence[Mapping[str, Any]]) -> str:
  """Returns a boxes file, a picture in a line; unreadable ones are left out."""
  lines = [
    f"{json.dumps(entry['name'])}: {json.dumps(entry['boxes'])}"
    for entry in entries
    if not entry["reason"]
  ]
  return "{\n" + ",\n".join(lines) + "\n}\n"


def _count(
  entries: Sequence[Mapping[str, Any]],
  missing: Sequence[str],
  left: Sequence[Wanted],
) -> dict[str, int]:
  """Returns what was done and found."""
  read = [entry for entry in entries if not entry["reason"]]
  boxes = [box for entry in read for box in entry["boxes"]]
  found = sum(
    len({box["phrase"] for box in entry["boxes"] if "phrase" in box})
    for entry in read
  )
  grounded = sum("phrase" in box for box in boxes)
  return {
    "pictures": len(entries) + len(missing),
    "without a file": len(missing),
    "unreadable": len(entries) - len(read),
    "looked at before": len(entries) - len(left),
    "looked at just now": len(left),
    "without a box": sum(not entry["boxes"] for entry in read),
    "detected boxes": len(boxes) - grounded,
    "grounded boxes": grounded,
    "names in pictures": sum(len(entry["names"]) for entry in read),
    "of them found": found,
  }


def _versions() -> dict[str, str]:
  """Returns the versions of what can change a box."""
  versions = {}
  for package in _PACKAGES:
    try:
      versions[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
      continue  # timm is only needed by models that are built with it.
  return versions
