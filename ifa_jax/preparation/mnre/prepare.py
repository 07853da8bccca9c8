"""Turns a raw tree into a prepared dataset that appears complete or not at all.

A first pass plans every row, so that mistakes are reported before any work.
"""

import collections
import contextlib
import hashlib
import json
import logging
import os
from concurrent.futures import process
from typing import Any, NamedTuple

from ifa_jax.cli import progress
from ifa_jax.cluster import connection
from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.data.formats.reader import warn_untrained
from ifa_jax.data.mnre import tree
from ifa_jax.files import scratch, whole
from ifa_jax.preparation import versions
from ifa_jax.preparation.mnre import draw
from ifa_jax.preparation.mnre.plan import Plan, Planner, Settings
from ifa_jax.statistics import counts_only

_log = logging.getLogger("ifa_jax")
# bert-base-uncased knows all words of MNRE, and all but 0.003 of MNRE-1's.
_MAX_UNKNOWN = 0.1
# Their versions can change a record; macOS has "tensorflow" in place of
# "tensorflow-cpu".
_PACKAGES = (
  "tensorflow_datasets",
  "tensorflow-cpu",
  "transformers",
  "tokenizers",
  "pillow",
)


def prepare(
  settings: Settings, ray: str | None = None
) -> tuple[schema.Prepared, bool]:
  """Prepares a dataset, unless the same one exists.

  Args:
    settings: the flags.
    ray: address of a cluster that draws the pictures, see
      `cluster.connection`; None for processes of this machine.

  Returns:
    The dataset, and whether it was written (False: it existed).

  Raises:
    ValueError: for anything wrong with the raw files, or if a dataset with
      other settings exists and `overwrite` is off. Nothing is written then.
  """
  planner = Planner(settings)
  surveyed = survey(planner)
  metadata = _metadata(planner, surveyed)
  folder = os.path.join(
    settings.data_dir,
    "mnre",
    settings.protocol,
    f"{schema.FORMAT_VERSION}.0.0",
  )
  if os.path.lexists(folder):
    difference = _difference(folder, metadata)
    if not difference:
      return schema.read_metadata(folder), False
    if not settings.overwrite:
      raise ValueError(
        f"{folder}: expected {difference}; give another --data_dir"
        " (--config.data.data_dir of a run), or replace it by --overwrite of"
        " data_prep.mnre"
      )
  _write(planner, surveyed, metadata, folder, ray)
  return schema.read_metadata(folder), True


class Survey(NamedTuple):
  """Results of the first pass, which opens no picture.

  Attributes:
    num_rows: rows of each split that are valid so far.
    num_files: picture files to draw from, counted once for each row.
    pictures: sha256 of the names and sizes of these files.
    num_captions: rows with a caption.
    with_objects: split -> its rows, if objects may be entities; else none.
  """

  num_rows: dict[str, int]
  num_files: int
  pictures: str
  num_captions: int
  with_objects: dict[str, list[counts_only.Row]]


def survey(planner: Planner) -> Survey:
  """Plans every row and keeps none; the first invalid row ends it.

  Warns of a tokenizer that knows too few of the words, and of relations that
  no row of train has.

  Raises:
    ValueError: for an invalid row (unless rows are skipped), for missing
      pictures where they are an error, if a split has no valid row, or if no
      box of a boxes file matches a row.
  """
  settings = planner.settings
  on_error = tree.raise_error
  if settings.on_error == "skip":
    on_error = lambda error: None  # noqa: E731
  num_rows: dict[str, int] = dict.fromkeys(schema.SPLITS, 0)
  relations: dict[str, dict[str, None]] = {x: {} for x in schema.SPLITS}
  missing: dict[str, str] = {}
  num_files = num_words = num_unknown = num_captions = 0
  pictures = hashlib.sha256()
  object_word = planner.reader.describe().get("object_word")
  with_objects: dict[str, list[counts_only.Row]] = {}
  for split in schema.SPLITS:
    plans = planner.plans(split, on_error)
    for plan in progress.bar(plans, f"reading {split}", unit=" rows"):
      num_rows[split] += 1
      relations[split][plan.row.relation] = None
      num_words += len(plan.row.words)
      num_unknown += plan.num_unknown
      num_captions += bool(plan.caption.words)
      if object_word:
        counted = _counted(plan, object_word)
        with_objects.setdefault(split, []).append(counted)
      # Kept only where they are reported: there may be as many as rows.
      if settings.missing_pixels == "error":
        for path in plan.missing:
          missing.setdefault(path, plan.row.where)
      for path in _files(plan):
        num_files += 1
        name = os.path.relpath(path, settings.raw_dir)
        pictures.update(f"{name}\0{os.path.getsize(path)}\n".encode())
    if not num_rows[split]:
      raise ValueError(f"{split}: every row is invalid and would be skipped")
  if missing:
    raise ValueError(_describe_missing(missing))
  if num_unknown > _MAX_UNKNOWN * num_words:
    _log.warning(
      "tokenizer %r: %d of %d words are unknown to it ([UNK], %.0f %%); does it"
      " fit the language and case of the texts?",
      *(planner.tokenizer.name, num_unknown, num_words),
      100 * num_unknown / num_words,
    )
  # With a limit, train may lack any.
  if settings.limit is None:
    warn_untrained(relations)
  planner.report_joins()
  return Survey(
    num_rows, num_files, pictures.hexdigest(), num_captions, with_objects
  )


def _counted(plan: Plan, object_word: str) -> counts_only.Row:
  row = plan.row
  entities = counts_only.in_text(row.words, (row.head, row.tail), object_word)
  return counts_only.Row(row.img_id, entities, plan.num_detected, row.relation)


def _files(plan: Plan) -> list[str]:
  """Returns the path of each file that a plan draws from, once."""
  crops = [crop for kind in plan.squares.values() for crop in kind if crop]
  return list(dict.fromkeys(crop.path for crop in crops if crop.path))


def _describe_missing(missing: dict[str, str]) -> str:
  """Names the first three missing files, and how many there are."""
  first = ", ".join(
    f"{path} ({where})" for path, where in list(missing.items())[:3]
  )
  kinds = collections.Counter(path.split(os.sep)[0] for path in missing)
  numbers = ", ".join(f"{n} in {kind}" for kind, n in kinds.items())
  return (
    f"{len(missing)} pictures or crops have no file ({numbers}), first {first};"
    " fetch them, or choose --missing_pixels=absent or grey"
  )


def _metadata(planner: Planner, surveyed: Survey) -> dict[str, Any]:
  """Returns a dataset's metadata; the builder adds the counts.

  Nothing in it depends on where files are on this machine.
  """
  settings, tokenizer = planner.settings, planner.tokenizer
  # Datasets without these keys are of MNRE, fitted, and have no captions.
  optional: dict[str, Any] = {}
  if described := planner.reader.describe():
    optional["format"] = described
  if surveyed.with_objects:
    optional["counts_only"] = counts_only.score(surveyed.with_objects)
  if settings.resize != "fit":
    optional["resize"] = settings.resize
  if surveyed.num_captions:
    optional["captions"] = {
      "caption_len": settings.caption_len,
      "sha256": [sha256(path) for path in settings.captions],
    }
  return optional | {
    "format_version": schema.FORMAT_VERSION,
    "protocol": settings.protocol,
    "tokenizer": {
      "name": tokenizer.name,
      "vocab_size": tokenizer.vocab_size,
      "sha256": tokenizer.sha256,
    },
    "text_len": settings.text_len,
    "image_size": settings.image_size,
    "patch_size": settings.patch_size,
    "num_crops": settings.num_crops,
    "relations": planner.relations,
    "missing_pixels": settings.missing_pixels,
    "on_error": settings.on_error,
    "limit": settings.limit,
    "boxes": sha256(settings.boxes) if settings.boxes else None,
    "sources": {
      os.path.relpath(path, settings.raw_dir): sha256(path)
      for path in planner.sources
    },
    "pictures": surveyed.pictures,
    "counts": {},
    "prepared_with": versions.find(_PACKAGES),
  }


def _difference(folder: str, metadata: dict[str, Any]) -> str:
  """Returns "text_len 64, got 80", or "" for the same dataset."""
  try:
    with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
      old = _flatten(json.load(file))
  except (OSError, ValueError, AttributeError):
    return "a prepared dataset, got other files"
  new = _flatten(metadata)
  for key in [*new, *(key for key in old if key not in new)]:
    if old.get(key) != new.get(key):
      return f"{key} {new.get(key)}, got {old.get(key)}"
  return ""


def _flatten(metadata: dict[str, Any]) -> dict[str, Any]:
  """Maps {"a": {"b": 1}} to {"a.b": 1}, without keys that may differ.

  Counts and versions follow from the rest, and a tokenizer's name may differ
  where its sha256 does not.
  """
  flat = {}
  for key, value in metadata.items():
    if key not in ("counts", "prepared_with"):
      nested = value if isinstance(value, dict) else {"": value}
      flat |= {f"{key}.{part}".rstrip("."): v for part, v in nested.items()}
  flat.pop("tokenizer.name", None)
  return flat


def _write(
  planner: Planner,
  surveyed: Survey,
  metadata: dict[str, Any],
  folder: str,
  ray: str | None,
) -> None:
  """Builds next to the destination, and renames the finished dataset.

  A killed run leaves a hidden folder, which the next one deletes, and the old
  dataset; killed between the two renames, it leaves neither dataset.

  Raises:
    ValueError: if a dataset has come meanwhile and `overwrite` is off.
  """
  settings = planner.settings
  with contextlib.ExitStack() as stack:
    stack.enter_context(whole.made(os.path.dirname(folder)))
    hidden = stack.enter_context(
      scratch.folder(settings.data_dir, ".preparing-")
    )
    # The workers load while TensorFlow does.
    pool = None
    if surveyed.num_files and ray:
      pool = stack.enter_context(connection.opened(ray))
    elif surveyed.num_files:
      pool = draw.start_pool(settings.num_workers)
    if pool:
      stack.callback(pool.shutdown, cancel_futures=True)
    new = os.path.join(hidden, "new")
    # Imported here because it takes seconds; mistakes were reported before.
    from ifa_jax.preparation.mnre import builder

    try:
      builder.write(new, planner, surveyed.num_rows, metadata, pool)
    except process.BrokenProcessPool:
      raise OSError(
        "a process that draws pictures was killed, perhaps for its memory; try"
        " --num_workers=1"
      ) from None
    if os.path.lexists(folder):
      if not settings.overwrite:
        raise ValueError(
          f"{folder}: expected no dataset, got one that another process has"
          " written meanwhile; run the command again"
        )
      os.rename(folder, os.path.join(hidden, "replaced"))
    os.rename(new, folder)
