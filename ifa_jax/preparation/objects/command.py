r"""Finds objects in the pictures of a tree: detected ones, and named ones.

    python -m data_prep.objects --raw_dir=data --out=boxes.json

A detector finds objects of its classes, a grounder the two entities of each row
by their names. `data.images.boxes` describes the file, which `data_prep.mnre`
and `data_prep.scenes` read with `--boxes`. PyTorch is needed: the extra
`objects`.

The same command continues an interrupted run, and searches pictures that were
added to the tree or could not be read; all others are in OUT.journal.jsonl.
With --ray, batches of pictures are searched in parallel; see docs/scale.md.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import dataclasses
from collections.abc import Sequence

from absl import flags

from ifa_jax.cli import app, settings_flags
from ifa_jax.cli.settings_flags import setting
from ifa_jax.cluster import connection
from ifa_jax.data.formats import registry
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.detection.finder import DETECTOR, GROUNDER, ObjectFinder
from ifa_jax.preparation import counts
from ifa_jax.preparation.per_picture import pictures, reading, work


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(work.Settings):
  """The flags of `data_prep.objects`."""

  raw_dir: str = setting("The folder of the dataset (MNRE: DeepKE's data/).")
  format: str = setting(
    "Format of the dataset.", "mnre", choices=registry.OF_WORDS
  )
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
    region_encoder.NUM_OBJECTS,
    least=1,
  )


def produce(settings: Settings, ray: str | None = None) -> dict[str, int]:
  """Writes the boxes file, see `per_picture.work.produce`.

  Returns:
    Counts, as the command shows them.

  Raises:
    ValueError: for anything wrong with tree, models or journal.
  """
  wanted, num_missing = pictures.read_tree(
    settings.raw_dir, settings.limit, settings.on_error, settings.format
  )

  def load() -> reading.Work:
    finder = ObjectFinder(
      settings.detector or None,
      settings.grounder or None,
      threshold=settings.threshold,
      max_objects=settings.max_objects,
      batch_size=settings.batch_size,
      device=settings.device,
    )
    return reading.Work(
      "boxes", finder.find, finder.batch_size, finder.settings()
    )

  done = work.produce(wanted, settings.out, load, ray)
  return _count(done, num_missing)


def _count(done: work.Done, num_missing: int) -> dict[str, int]:
  """Returns the counts that the command shows."""
  boxes = [box for entry in done.read for box in entry["boxes"]]
  found = {
    (entry["name"], box["phrase"])
    for entry in done.read
    for box in entry["boxes"]
    if "phrase" in box
  }
  grounded = sum("phrase" in box for box in boxes)
  return {
    "pictures": len(done.entries) + num_missing,
    "without a file": num_missing,
    "unreadable": len(done.entries) - len(done.read),
    "searched before": len(done.entries) - done.num_new,
    "searched now": done.num_new,
    "without a box": sum(not entry["boxes"] for entry in done.read),
    "detected boxes": len(boxes) - grounded,
    "grounded boxes": grounded,
    "names in pictures": sum(len(entry["names"]) for entry in done.read),
    "names found": len(found),
  }


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)
  connection.define_flag()


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  found = produce(settings, flags.FLAGS.ray)
  counts.show("Objects", {"": found}, settings.out)
