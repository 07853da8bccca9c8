"""Makes the scenes of a tree's pictures, and the heads of its sentences."""

import collections
import itertools
import logging
from collections.abc import Sequence

from ifa_jax.cli import progress
from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser as parser
from ifa_jax.files import whole
from ifa_jax.preparation.scenes.maker import REASONS, Maker, Settings

_log = logging.getLogger("ifa_jax")


def produce(settings: Settings) -> dict[str, dict[str, int]]:
  """Writes the scenes of all splits; `out` appears complete or not at all.

  Returns:
    Counts by split, as the command shows them.

  Raises:
    ValueError: for anything wrong with the files, or if `out` is not empty.
  """
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
    counts = {}
    for split, rows in by_split.items():
      scenes, counts[split] = _make_split(maker, rows, split)
      heads = parse.parse([row.words for row in rows])
      manifest = maker.manifest() | {
        "parser": parse.name,
        "text": sha256(maker.reader.paths[split]),
        "counts": counts[split],
      }
      by_row = dict(zip((row.id for row in rows), heads, strict=True))
      store.write_split(partial, split, scenes, by_row, manifest, maker.absent)
  return counts


def _make_split(
  maker: Maker, rows: Sequence[Row], split: str
) -> tuple[dict[str, store.Scene], dict[str, int]]:
  """Returns a split's scenes by the picture's file name, and its counts."""
  by_picture = {}
  for row in rows:
    if row.img_id:
      by_picture.setdefault(row.img_id, row)
  scenes, lost = {}, collections.Counter()
  for img_id, row in progress.bar(
    by_picture.items(), f"scenes of {split}", unit=" pictures"
  ):
    made = maker.scene(row)
    if isinstance(made, str):
      lost[made] += 1
    else:
      scenes[img_id] = made
  if lost:
    reasons = [f"{lost[why]} {why}" for why in REASONS if lost[why]]
    _log.info(
      "%s: no scene of %d pictures (%s)",
      *(split, lost.total(), ", ".join(reasons)),
    )
  return scenes, {
    "rows": len(rows),
    "pictures": len(by_picture),
    "scenes": len(scenes),
    **{reason: lost[reason] for reason in REASONS},
    "objects": sum(scene.num_objects for scene in scenes.values()),
    "edges": sum(len(scene.edges) for scene in scenes.values()),
  }
