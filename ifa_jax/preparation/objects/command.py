r"""Finds objects in the pictures of a tree: detected ones, and named ones.

    python -m data_prep.objects --raw_dir=data --out=boxes.json

A detector finds objects of its classes, a grounder the two entities of each row
by their names. `data.images.boxes` describes the file, which `data_prep.mnre`
and `data_prep.scenes` read with `--boxes`. PyTorch is needed: the extra
`objects`.

The same command continues an interrupted run, and searches pictures that were
added to the tree; all others are in OUT.journal.jsonl.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

from collections.abc import Sequence

from ifa_jax.cli import app, settings_flags
from ifa_jax.preparation import counts
from ifa_jax.preparation.objects.boxes import Settings, produce


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  counts.show("Objects", {"": produce(settings)}, settings.out)
