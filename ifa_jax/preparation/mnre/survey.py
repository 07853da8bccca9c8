"""A look at every row before the work starts, and the metadata it gives."""

import collections
import hashlib
import importlib.metadata
import logging
import os
import platform
from typing import Any, NamedTuple

import tqdm

from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.preparation.mnre.plan import Plan, Planner

_log = logging.getLogger("ifa_jax")
_NUM_SHOWN = 3
# Of MNRE's words bert-base-uncased knows all, of MNRE-1's all but 0.003.
_MOST_UNKNOWN = 0.1
_PACKAGES = (
  "tensorflow_datasets",
  "tensorflow-cpu",
  "transformers",
  "tokenizers",
  "pillow",
)


class Survey(NamedTuple):
  """What a first pass over the text and the file names found.

  Attributes:
    num_rows: rows of each split that can be prepared, as far as one can tell
      without opening pictures.
    num_files: picture files to draw from, counted once for each row.
    pictures: sha256 of the names and sizes of these files.
  """

  num_rows: dict[str, int]
  num_files: int
  pictures: str


def survey(planner: Planner) -> Survey:
  """Plans every row and keeps none; the first bad row ends it.

  Warns of a tokenizer that knows too few of the words.

  Raises:
    ValueError: for a bad row (unless rows are skipped), for missing pictures
      where they are an error, if a split has no row, or if no box of a boxes
      file belongs to any.
  """
  skip = planner.settings.on_error == "skip"
  must_be_there = planner.settings.missing_pixels == "error"
  on_error = (lambda error: None) if skip else tree.raise_error
  num_rows, missing, num_files = {}, {}, 0
  num_words = num_unknown = 0
  pictures = hashlib.sha256()
  for split in schema.SPLITS:
    num_rows[split] = 0
    for plan in tqdm.tqdm(
      planner.plans(split, on_error), f"reading {split}", unit=" rows"
    ):
      num_rows[split] += 1
      num_words += len(plan.row.words)
      num_unknown += plan.num_unknown
      # Elsewhere there may be as many of them as rows, and nobody asks.
      for path in plan.missing if must_be_there else ():
        missing.setdefault(path, plan.row.where)
      for path, size in _files(plan):
        num_files += 1
        name = os.path.relpath(path, planner.settings.raw_dir)
        pictures.update(f"{name}\0{size}\n".encode())
    if not num_rows[split]:
      raise ValueError(f"{split}: every row is bad and would be skipped")
  if missing:
    raise ValueError(_describe_missing(missing))
  if num_unknown > _MOST_UNKNOWN * num_words:
    _log.warning(
      "tokenizer %r: %d of %d words are unknown to it ([UNK], %.0f %%); is it"
      " one of the texts' language and case?",
      *(planner.tokenizer.name, num_unknown, num_words),
      100 * num_unknown / num_words,
    )
  planner.tell_joins()
  return Survey(num_rows, num_files, pictures.hexdigest())


def metadata(planner: Planner, found: Survey) -> dict[str, Any]:
  """Returns what a dataset says of itself; the builder adds the counts.

  Nothing in it depends on where files lie on this machine.
  """
  settings, tokenizer = planner.settings, planner.tokenizer
  return {
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
    "boxes": _sha256(settings.boxes) if settings.boxes else None,
    "sources": {
      os.path.relpath(path, settings.raw_dir): _sha256(path)
      for path in planner.sources
    },
    "pictures": found.pictures,
    "counts": {},
    "prepared_with": _versions(),
  }


def first_difference(old: dict[str, Any], new: dict[str, Any]) -> str:
  """Returns "text_len 80, asked for 64" or "" if two datasets are the same.

  Counts and versions follow from the rest, and a tokenizer's name may differ
  where its sha256 does not.
  """
  old, new = _flatten(old), _flatten(new)
  for key in [*new, *(key for key in old if key not in new)]:
    if old.get(key) != new.get(key):
      return f"{key} {old.get(key)}, asked for {new.get(key)}"
  return ""


def _flatten(settings: dict[str, Any]) -> dict[str, Any]:
  """Maps {"a": {"b": 1}} to {"a.b": 1}, without what may differ."""
  flat = {}
  for key, value in settings.items():
    if key in ("counts", "prepared_with"):
      continue
    nested = value if isinstance(value, dict) else {"": value}
    flat |= {f"{key}.{part}".rstrip("."): v for part, v in nested.items()}
  flat.pop("tokenizer.name", None)
  return flat


def _files(plan: Plan) -> list[tuple[str, int]]:
  """Returns path and bytes of each file that a plan draws from."""
  crops = [crop for kind in plan.squares.values() for crop in kind if crop]
  paths = dict.fromkeys(crop.path for crop in crops if crop.path)
  return [(path, os.path.getsize(path)) for path in paths]


def _describe_missing(missing: dict[str, str]) -> str:
  """Names the first few missing files and their number."""
  shown = ", ".join(
    f"{path} ({where})" for path, where in list(missing.items())[:_NUM_SHOWN]
  )
  kinds = collections.Counter(path.split(os.sep)[0] for path in missing)
  numbers = ", ".join(f"{n} in {kind}" for kind, n in kinds.items())
  return (
    f"{len(missing)} pictures or crops have no file ({numbers}), first {shown};"
    " fetch them, or choose --missing_pixels=absent or grey"
  )


def _sha256(path: str) -> str:
  """Returns the sha256 of a file's bytes."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
  """Returns the versions of what can change a record."""
  versions = {"python": platform.python_version()}
  for package in _PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue  # macOS has "tensorflow" in place of "tensorflow-cpu".
  return versions
