"""A raw tree to a prepared dataset that appears complete, or not at all."""

import contextlib
import json
import os
from concurrent.futures import Executor, process
from typing import Any

from ifa_jax.data import schema
from ifa_jax.files import scratch
from ifa_jax.preparation.mnre import draw, survey
from ifa_jax.preparation.mnre.plan import Planner, Settings


def prepare(settings: Settings) -> tuple[schema.Prepared, bool]:
  """Prepares a dataset, unless the same one is there.

  Returns:
    The dataset, and whether it was written (False: it was there).

  Raises:
    ValueError: for anything wrong with the raw files, or if a dataset of other
      settings is there and `overwrite` is off. Nothing is written then.
  """
  planner = Planner(settings)
  found = survey.survey(planner)
  metadata = survey.metadata(planner, found)
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
        f"{folder}: is there with {difference}; give another --data_dir, or"
        " --overwrite to replace it"
      )
  _write(planner, found, metadata, folder)
  return schema.read_metadata(folder), True


def _difference(folder: str, metadata: dict[str, Any]) -> str:
  """Tells how the dataset in a folder differs from the one asked for."""
  try:
    with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
      there = json.load(file)
  except (OSError, ValueError):
    return "files that are no prepared dataset"
  return survey.first_difference(there, metadata)


def _write(
  planner: Planner,
  found: survey.Survey,
  metadata: dict[str, Any],
  folder: str,
) -> None:
  """Builds beside the destination and renames when all is there.

  A run that is killed leaves a hidden folder, which the next one deletes, and
  what was there before; between the two renames that is gone already.
  """
  settings = planner.settings
  os.makedirs(os.path.dirname(folder), exist_ok=True)
  with contextlib.ExitStack() as stack:
    hidden = stack.enter_context(
      scratch.folder(settings.data_dir, ".preparing-")
    )
    # The workers load while TensorFlow does.
    pool = draw.start_pool(settings.num_workers) if found.num_files else None
    if pool:
      stack.callback(pool.shutdown, cancel_futures=True)
    new = os.path.join(hidden, "new")
    _build(planner, found, metadata, new, pool)
    if os.path.lexists(folder):
      os.rename(folder, os.path.join(hidden, "replaced"))
    os.rename(new, folder)


def _build(
  planner: Planner,
  found: survey.Survey,
  metadata: dict[str, Any],
  folder: str,
  pool: Executor | None,
) -> None:
  """Writes a dataset's folder."""
  # Loaded here because it takes seconds: whatever is wrong was said before.
  from ifa_jax.preparation.mnre import builder

  try:
    builder.Builder(folder, planner, found, metadata, pool).write()
  except process.BrokenProcessPool:
    raise OSError(
      "a process that draws pictures was killed, perhaps for its memory; try"
      " --num_workers=1"
    ) from None
