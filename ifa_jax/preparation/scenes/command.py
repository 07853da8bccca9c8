r"""Makes scenes: what models of regions read beside a dataset.

    python -m data_prep.scenes --raw_dir=data --boxes=boxes.json \
        --encoder=weights/bert_clip --out=scenes

The objects of every picture come from `--boxes` (see `data.images.boxes`),
connected where they lie together, or from `--scene_graphs`, the files
custom_prediction.json of Scene Graph Benchmark with the relations found there
(see `preparation.scenes.graphs`). The trees of the sentences come from
`--parser`.
What is written is described in `data.scenes.store`.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags

from ifa_jax.cli import app, tables
from ifa_jax.data import schema
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser
from ifa_jax.preparation.scenes.splits import Settings, produce


def show(folder: str, counts: Mapping[str, Mapping[str, int]]) -> None:
  """Prints what was made, a split in a column."""
  manifest = store.read_split(folder, schema.SPLITS[0]).manifest
  features = manifest["features"]
  title = (
    f"Scenes: features {features['kind']}, {manifest['feature_dim']} wide;"
    f" relations {manifest['relations']}; parser {manifest['parser']}"
  )
  rows = [
    [key, *(str(split[key]) for split in counts.values())]
    for key in next(iter(counts.values()))
  ]
  tables.print_table(tables.make_table(title, ("", *counts), rows))
  # Not through rich, which would break a long path into lines.
  print(folder)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = app.flag_defaults(Settings)
  for name, meaning in (
    ("raw_dir", "The tree as published (DeepKE's data/)."),
    ("out", "Folder to write, new or empty."),
    ("boxes", "JSON of boxes by picture."),
    ("encoder", "pixels, or a folder of converted weights."),
    ("parser_model", "Name or folder of a model of spaCy."),
  ):
    known = default[name] is not dataclasses.MISSING
    flags.DEFINE_string(name, default[name] if known else None, meaning)
  flags.DEFINE_list(
    "scene_graphs",
    [],
    "Files custom_prediction.json, custom_data_info.json beside each.",
  )
  flags.DEFINE_enum(
    "parser",
    default["parser"],
    dependency_parser.KINDS,
    "Where trees come from.",
  )
  flags.DEFINE_integer(
    "num_objects", default["num_objects"], "Most objects.", lower_bound=1
  )
  flags.DEFINE_float(
    "min_score", default["min_score"], "What an object's score must exceed."
  )
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
