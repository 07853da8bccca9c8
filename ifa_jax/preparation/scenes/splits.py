"""Makes the scenes of a tree's pictures, and the heads of its sentences."""

import collections
import itertools
import logging
import math
from collections.abc import Mapping, Sequence

from ifa_jax.cli import progress
from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser as parser
from ifa_jax.files import whole
from ifa_jax.preparation import joins
from ifa_jax.preparation.scenes.maker import (
  NO_FILE,
  REASONS,
  UNREADABLE,
  Maker,
  Settings,
)

_log = logging.getLogger("ifa_jax")


def produce(settings: Settings) -> dict[str, dict[str, int]]:
  """Writes the scenes of all splits; `out` appears complete or not at all.

  Returns:
    Counts by split, as the command shows them.

  Raises:
    ValueError: for anything wrong with the files, if `out` is not empty, or if
      no picture has a scene.
  """
  if not math.isfinite(settings.min_score):
    raise ValueError(
      f"--min_score: expected a finite number, got {settings.min_score}"
    )
  skip = settings.on_error == "skip"
  on_error = (lambda error: None) if skip else tree.raise_error
  with whole.folder(settings.out) as partial:
    maker = Maker(settings)
    parse = parser.load(settings.parser, settings.parser_model)
    by_split = {
      split: list(maker.reader.posts(split, None, on_error))
      for split in schema.SPLITS
    }
    maker.find_objects(itertools.chain(*by_split.values()))
    counts, lost = {}, {}
    for split, rows in by_split.items():
      scenes, lost[split] = _make_split(maker, rows, split, skip)
      counts[split] = _count(rows, scenes, lost[split])
      heads = parse.parse([row.words for row in rows])
      manifest = maker.manifest() | {
        "parser": parse.name,
        "text": sha256(maker.reader.paths[split]),
        "counts": counts[split],
      }
      by_row = dict(zip((row.id for row in rows), heads, strict=True))
      store.write_split(partial, split, scenes, by_row, manifest, maker.absent)
    _report(maker, by_split, lost)
  return counts


def _make_split(
  maker: Maker, rows: Sequence[Row], split: str, skip: bool
) -> tuple[dict[str, store.Scene], dict[str, str]]:
  """Returns the scenes by the picture's file name, and why others have none."""
  by_picture = {}
  for row in rows:
    if row.img_id:
      by_picture.setdefault(row.img_id, row)
  scenes, lost = {}, {}
  for img_id, row in progress.bar(
    by_picture.items(), f"scenes of {split}", unit=" pictures"
  ):
    try:
      made = maker.scene(row)
    except ValueError as error:
      if not skip:
        raise
      _log.info("No scene of %s: %s", img_id, error)
      made = UNREADABLE
    if isinstance(made, str):
      lost[img_id] = made
    else:
      scenes[img_id] = made
  if lost:
    _log.info("%s: no scene of %s", split, _describe(lost))
  return scenes, lost


def _describe(lost: Mapping[str, str]) -> str:
  """Returns "3 pictures (1 without a file, 2 without boxes)"."""
  numbers = collections.Counter(lost.values())
  reasons = [f"{numbers[why]} {why}" for why in REASONS if numbers[why]]
  return f"{len(lost)} pictures ({', '.join(reasons) or 'no row has one'})"


def _count(
  rows: Sequence[Row],
  scenes: Mapping[str, store.Scene],
  lost: Mapping[str, str],
) -> dict[str, int]:
  numbers = collections.Counter(lost.values())
  return {
    "rows": len(rows),
    "pictures": len(scenes) + len(lost),
    "scenes": len(scenes),
    **{reason: numbers[reason] for reason in REASONS},
    "objects": sum(scene.num_objects for scene in scenes.values()),
    "edges": sum(len(scene.edges) for scene in scenes.values()),
  }


def _report(
  maker: Maker,
  by_split: Mapping[str, Sequence[Row]],
  lost: Mapping[str, Mapping[str, str]],
) -> None:
  """Logs how many pictures were found; raises ValueError without any scene."""
  listed = {
    row.img_id: lost[split].get(row.img_id)
    for split, rows in by_split.items()
    for row in rows
    if row.img_id
  }
  reader = maker.reader
  if not maker.needs_no_file:
    has_file = {name: why != NO_FILE for name, why in listed.items()}
    joins.log_pictures(reader.pictures.folder, has_file)
  without = {name: why for name, why in listed.items() if why}
  if len(without) == len(listed):
    raise ValueError(
      f"{reader.raw_dir}: expected the scene of one picture or more, got none"
      f" of {_describe(without)}"
    )
