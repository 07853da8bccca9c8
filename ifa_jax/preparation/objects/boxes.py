"""Finds the objects of a tree's pictures and writes them as a boxes file."""

import dataclasses
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data.images import decode
from ifa_jax.data.mnre import tree as raw
from ifa_jax.detection import scene_builder
from ifa_jax.detection.finder import DETECTOR, GROUNDER, ObjectFinder
from ifa_jax.preparation import joins, versions
from ifa_jax.preparation.objects import tree as object_tree
from ifa_jax.preparation.objects.journal import Journal
from ifa_jax.preparation.objects.tree import Wanted
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")
# Their versions can change a box; only some models are built with timm.
_PACKAGES = ("torch", "transformers", "timm", "tokenizers", "pillow")
# Enough to open the next batch while a model searches this one.
_NUM_THREADS = 2

# A picture and None, or None and why it cannot be read.
_Opened = tuple[Image.Image | None, str | None]


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.objects`."""

  raw_dir: str = setting("The tree as published (DeepKE's data/).")
  out: str = setting("Boxes file to write, JSON.")
  detector: str = setting(
    "Folder or hub id of a detector; empty for none.", DETECTOR
  )
  grounder: str = setting(
    "Folder or hub id of a grounder; empty for none.", GROUNDER
  )
  threshold: float = setting(
    "A box is kept if its score is higher.", scene_builder.MIN_SCORE
  )
  max_objects: int = setting(
    "Maximum boxes of a picture, and of each name in it.",
    scene_builder.NUM_OBJECTS,
    least=1,
  )
  batch_size: int | None = setting(
    "Pictures in a batch; default 1 on a CPU, 8 on a GPU.", None, least=1
  )
  device: str | None = setting(
    "PyTorch device; default a GPU if there is one.", None
  )
  limit: int | None = setting("Rows to read of each split.", None, least=1)
  on_error: str = setting(
    "An invalid row ends the run, or is left out.",
    "fail",
    choices=("fail", "skip"),
  )


def produce(settings: Settings) -> dict[str, int]:
  """Writes the boxes file; it appears complete, or stays as it was.

  Results are kept next to it in a journal. Pictures in the journal are not
  searched again.

  Returns:
    Counts, as the command shows them.

  Raises:
    ValueError: for anything wrong with tree, models or journal, or if `out`
      exists without a journal.
  """
  wanted, missing = _read_tree(settings)
  path = journal_path(settings.out)
  if os.path.lexists(settings.out) and not os.path.exists(path):
    raise ValueError(
      f"{settings.out}: expected {os.path.basename(path)} next to it, got a"
      " file that this command did not write; choose another --out"
    )
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
  with Journal(path, finder.settings(), versions.find(_PACKAGES)) as journal:
    left = [picture for picture in wanted if journal.entry(picture) is None]
    _search(finder, journal, left, len(wanted))
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
      f"{settings.raw_dir}: expected pictures of its rows in img_org, got none"
      f" of {len(missing)}"
    )
  has_file = dict.fromkeys(missing, False)
  has_file |= dict.fromkeys((picture.name for picture in wanted), True)
  joins.log_pictures(settings.raw_dir, has_file)
  return wanted, missing


def _search(
  finder: ObjectFinder, journal: Journal, left: Sequence[Wanted], total: int
) -> None:
  """Searches the remaining pictures, and saves each batch at once."""
  batches = list(object_tree.batches(left, finder.batch_size))
  with progress.bar(
    desc="objects", unit=" pictures", total=total, initial=total - len(left)
  ) as bar:
    for batch, opened in _open_ahead(batches):
      seen = {i: picture for i, (picture, _) in enumerate(opened) if picture}
      found = finder.find([*seen.values()], [batch[i].names for i in seen])
      boxes = dict(zip(seen, found, strict=True))
      journal.write(
        batch,
        [boxes.get(i, []) for i in range(len(batch))],
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


def _as_text(entries: Sequence[Mapping[str, Any]]) -> str:
  """Returns a boxes file, one readable picture per line."""
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
  """Returns the counts that the command shows."""
  read = [entry for entry in entries if not entry["reason"]]
  boxes = [box for entry in read for box in entry["boxes"]]
  grounded = sum("phrase" in box for box in boxes)
  found = {
    (entry["name"], box["phrase"])
    for entry in read
    for box in entry["boxes"]
    if "phrase" in box
  }
  return {
    "pictures": len(entries) + len(missing),
    "without a file": len(missing),
    "unreadable": len(entries) - len(read),
    "searched before": len(entries) - len(left),
    "searched now": len(left),
    "without a box": sum(not entry["boxes"] for entry in read),
    "detected boxes": len(boxes) - grounded,
    "grounded boxes": grounded,
    "names in pictures": sum(len(entry["names"]) for entry in read),
    "names found": len(found),
  }
