r"""Prepares MNRE: the published files to a TensorFlow Datasets folder.

    python -m data_prep.mnre --raw_dir=data --data_dir=prepared \
        --protocol=clean --boxes=boxes.json

The protocol says where grounded crops come from, and is part of every number
that is computed from the result:

    released   the published dictionary; it tells the label, see README.md
    clean      boxes found for the names of the two entities, by --boxes; the
               best of each name before all others
    none       no grounded crops

Exit status: 0 done or there already, 1 failed with one line on standard error,
2 wrong usage.
"""

from absl import flags, logging

from ifa_jax.cli import app, tables
from ifa_jax.data import schema
from ifa_jax.preparation.mnre.plan import Settings
from ifa_jax.preparation.mnre.prepare import prepare

# Keys of a split's counts, and what the table calls them.
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
}


def define_flags():
  """Defines the flags; importing this module defines none."""
  default = app.flag_defaults(Settings)
  string, enum = flags.DEFINE_string, flags.DEFINE_enum
  integer = flags.DEFINE_integer
  string("raw_dir", None, "The tree as published (DeepKE's data/).")
  string("data_dir", None, "Folder for prepared datasets.")
  enum("protocol", None, schema.PROTOCOLS, "Where grounded crops come from.")
  string(
    "boxes",
    default["boxes"],
    "JSON of boxes by picture; detected crops, and for clean the grounded.",
  )
  string("tokenizer", default["tokenizer"], "WordPiece folder or hub id.")
  enum(
    "missing_pixels",
    default["missing_pixels"],
    ("error", "absent", "grey"),
    "A picture or crop without a file is an error, left out, or grey.",
  )
  enum(
    "on_error",
    default["on_error"],
    ("fail", "skip"),
    "A bad row ends the run, or is dropped and listed in skipped.jsonl.",
  )
  integer(
    "limit", default["limit"], "Rows to read of each split.", lower_bound=1
  )
  for name, meaning, least in (
    ("image_size", "Side of the whole picture in pixels.", 1),
    ("patch_size", "Side of a patch in pixels; crops have 4 and 2.", 1),
    ("text_len", "Most tokens of a text.", 8),
    ("num_crops", "Most crops of a kind.", 0),
    ("num_workers", "Processes that draw; 0 for one on each core.", 0),
  ):
    integer(name, default[name], meaning, lower_bound=least)
  flags.DEFINE_bool(
    "overwrite", False, "Replace a dataset that has other settings."
  )
  flags.mark_flags_as_required(("raw_dir", "data_dir", "protocol"))


def main(_):
  """Runs the command."""
  settings = app.read_settings(Settings)
  # TFDS warns of every dataset that it does not publish itself.
  logging.set_verbosity(logging.ERROR)
  prepared, is_new = prepare(settings)
  show(prepared, is_new)


def show(prepared: schema.Prepared, is_new: bool) -> None:
  """Prints what was prepared, a split in a column."""
  counts = prepared.metadata["counts"]
  title = "Prepared" if is_new else "Already prepared, nothing to do"
  rows = [
    [label, *(str(split.get(key, "?")) for split in counts.values())]
    for key, label in _COUNTED.items()
  ]
  reasons = {r for split in counts.values() for r in split["skipped"]}
  rows += [
    [
      f"skipped: {reason}",
      *(str(split["skipped"].get(reason, 0)) for split in counts.values()),
    ]
    for reason in sorted(reasons)
  ]
  title = f"{title}: protocol {_protocol(prepared)}"
  tables.print_table(tables.make_table(title, ("", *counts), rows))
  # Not through rich, which would break a long path into lines.
  print(prepared.folder)


def _protocol(prepared: schema.Prepared) -> str:
  """Returns the protocol, with what became of missing files."""
  protocol = prepared.metadata["protocol"]
  return f"{protocol}, missing pixels {prepared.metadata['missing_pixels']}"
