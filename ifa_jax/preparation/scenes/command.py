r"""Makes scenes: the objects and graphs that models of regions read.

    python -m data_prep.scenes --raw_dir=data --boxes=boxes.json \
        --encoder=weights/bert_clip --out=scenes

The objects of every picture come from `--boxes` (see `data.images.boxes`) or
from the boxes of the rows, connected where they are close together, or from
`--scene_graphs`, the files custom_prediction.json of Scene Graph Benchmark with
the relations found there (see `preparation.scenes.graphs`). The trees of the
sentences come from `--parser`. `data.scenes.store` describes the result.

HVPNeT reads the pyramid of a ResNet-50 (`--encoder=pyramid:RESNET`), of the
whole picture first, and then of its boxes, if there are any.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import os
from collections.abc import Sequence
from typing import Any

from ifa_jax.cli import app, settings_flags
from ifa_jax.data import schema
from ifa_jax.files import json_file
from ifa_jax.preparation import counts
from ifa_jax.preparation.scenes.splits import Settings, produce


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  found = produce(settings)
  # Without the arrays, which may have gigabytes.
  path = os.path.join(settings.out, f"{schema.SPLITS[0]}.json")
  manifest: Any = json_file.load(path)
  title = (
    f"Scenes: features {manifest['features']['kind']},"
    f" {manifest['feature_dim']} wide; relations {manifest['relations']};"
    f" parser {manifest['parser']}"
  )
  counts.show(title, found, settings.out)
