r"""Finds objects in the pictures of a tree: detected ones, and those named.

    python -m data_prep.objects --raw_dir=data --out=boxes.json

A detector finds objects of its classes, a grounder the two entities of each row
by their names. What is written is described in `data.images.boxes`; it is what
`--boxes` of `data_prep.mnre` and `data_prep.scenes` reads. PyTorch is needed:
the extra `objects`

A run that was stopped goes on with the same command, and pictures that were
added to the tree are looked at by it: all others are in OUT.journal.jsonl.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags

from ifa_jax.cli import app, tables
from ifa_jax.preparation.objects.boxes import Settings, produce


def show(out: str, counts: Mapping[str, int]) -> None:
  """Prints what was done."""
  rows = [[key, str(count)] for key, count in counts.items()]
  tables.print_table(tables.make_table("Objects", ("", ""), rows))
  # Not through rich, which would break a long path into lines.
  print(out)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = app.flag_defaults(Settings)
  for name, meaning in (
    ("raw_dir", "The tree as published (DeepKE's data/)."),
    ("out", "Boxes file to write, JSON."),
    ("detector", "Folder or hub id of a detector; empty for none."),
    ("grounder", "Folder or hub id of a grounder; empty for none."),
    ("device", "Of PyTorch; without it a GPU where there is one."),
  ):
    known = default[name] is not dataclasses.MISSING
    flags.DEFINE_string(name, default[name] if known else None, meaning)
  flags.DEFINE_float(
    "threshold", default["threshold"], "What a box's score must exceed."
  )
  for name, meaning in (
    ("max_objects", "Most boxes of a picture, and of each name in it."),
    ("batch_size", "Pictures at once; without it 1 on a CPU, 8 on a GPU."),
    ("limit", "Rows to read of each split."),
  ):
    flags.DEFINE_integer(name, default[name], meaning, lower_bound=1)
  flags.DEFINE_enum(
    "on_error",
    default["on_error"],
    ("fail", "skip"),
    "A bad row ends the run, or is left out.",
  )
  flags.mark_flags_as_required(("raw_dir", "out"))


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  show(settings.out, produce(settings))
