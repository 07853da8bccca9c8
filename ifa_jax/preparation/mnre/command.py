r"""Prepares a dataset: MNRE, or one of another format, for TensorFlow Datasets.

    python -m data_prep.mnre --raw_dir=data --data_dir=prepared \
        --protocol=clean --boxes=boxes.json
    python -m data_prep.mnre --format=jsonl --raw_dir=data --data_dir=prepared \
        --protocol=none

The modules of `ifa_jax.data.formats` describe the formats.

The protocol decides where grounded crops come from, and is part of every number
that is computed from the result:

    released   the published dictionary, which reveals the label, see README.md
    clean      boxes found for the names of the two entities, given by --boxes;
               the best box of each name comes first; of MORE and UMRE the
               objects that are entities
    none       no grounded crops

With --ray, pictures are decoded and resized on a cluster, in place of
--num_workers processes here; see docs/scale.md.

Exit status: 0 done or already prepared, 1 failed with one line on standard
error, 2 wrong usage.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags, logging

from ifa_jax.cli import app, settings_flags
from ifa_jax.cluster import connection
from ifa_jax.data import schema
from ifa_jax.preparation import counts
from ifa_jax.preparation.mnre.plan import Settings
from ifa_jax.preparation.mnre.prepare import prepare

# Keys of a split's counts, and their labels in the table.
_COUNTED = {
  "rows": "rows",
  "longest_text": "longest text (tokens)",
  "shortened_texts": "texts that lost words",
  "unknown_words": "words with an [UNK]",
  "pictures": "rows with a picture",
  "missing_pictures": "rows whose picture is missing",
  "grounded": "grounded crops",
  "missing_grounded": "grounded crops missing",
  "detected": "detected crops",
  "missing_detected": "detected crops missing",
  "captions": "rows with a caption",
  "longest_caption": "longest caption (tokens)",
  "shortened_captions": "captions that lost words",
}
# Only datasets with captions have these.
_OF_CAPTIONS = ("captions", "longest_caption", "shortened_captions")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)
  connection.define_flag()


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  # TFDS warns of every dataset that it does not publish itself.
  logging.set_verbosity(logging.ERROR)
  show(*prepare(app.read_settings(Settings), flags.FLAGS.ray))


def show(prepared: schema.Prepared, is_new: bool) -> None:
  """Prints the counts of a dataset, one split in each column."""
  metadata = prepared.metadata
  _show_relations(metadata)
  splits = metadata["counts"]
  reasons = sorted({r for split in splits.values() for r in split["skipped"]})
  shown = {
    name: {
      label: split.get(key, "?")
      for key, label in _COUNTED.items()
      if key in split or key not in _OF_CAPTIONS
    }
    | {f"skipped: {r}": split["skipped"].get(r, 0) for r in reasons}
    for name, split in splits.items()
  }
  title = (
    f"{'Prepared' if is_new else 'Already prepared, nothing to do'}: protocol"
    f" {metadata['protocol']}, missing pixels {metadata['missing_pixels']}"
  )
  counts.show(title, shown, prepared.folder)


def _show_relations(metadata: dict[str, Any]) -> None:
  """Prints the number of relations, which a config needs, and their names."""
  relations = metadata["relations"]
  negative = metadata.get("format", {}).get("negative")
  renamed = f" ({negative} in the files)" if negative else ""
  none, *others = relations
  print(
    f"{len(relations)} relations by id (model.num_relations):"
    f" {', '.join([none + renamed, *others])}"
  )
