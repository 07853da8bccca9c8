"""Turns a raw tree into a prepared dataset, complete or not at all."""

import contextlib
import json
import logging
import os
from concurrent.futures import process
from typing import Any

from ifa_jax.cluster import connection
from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.files import scratch, whole
from ifa_jax.preparation import versions
from ifa_jax.preparation.mnre import draw
from ifa_jax.preparation.mnre.plan import Planner, Settings
from ifa_jax.preparation.mnre.survey import Survey, survey
from ifa_jax.statistics import counts_only

_log = logging.getLogger("ifa_jax")
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
