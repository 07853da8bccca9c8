"""The first pass over a dataset: plans every row, and opens no picture.

So mistakes are reported before any work.
"""

import collections
import hashlib
import logging
import os
from typing import NamedTuple

from ifa_jax.cli import progress
from ifa_jax.data import schema
from ifa_jax.data.formats.reader import warn_untrained
from ifa_jax.data.mnre import tree
from ifa_jax.preparation.mnre.plan import Plan, Planner
from ifa_jax.statistics import counts_only

_log = logging.getLogger("ifa_jax")
# bert-base-uncased knows all words of MNRE, and all but 0.003 of MNRE-1's.
_MAX_UNKNOWN = 0.1


class Survey(NamedTuple):
  """Results of the first pass, which opens no picture.

  Attributes:
    num_rows: rows of each split that are valid so far.
    num_files: picture files to draw from, counted once for each row.
    pictures: sha256 of the names and sizes of these files.
    num_captions: rows with a caption.
    with_objects: split -> its rows, if objects may be entities; else none.
  """

  num_rows: dict[str, int]
  num_files: int
  pictures: str
  num_captions: int
  with_objects: dict[str, list[counts_only.Row]]


def survey(planner: Planner) -> Survey:
  """Plans every row and keeps none; the first invalid row ends it.

  Warns of a tokenizer that knows too few of the words, and of relations that
  no row of train has.

  Raises:
    ValueError: for an invalid row (unless rows are skipped), for missing
      pictures where they are an error, if a split has no valid row, or if no
      box of a boxes file matches a row.
  """
  settings = planner.settings
  on_error = tree.raise_error
  if settings.on_error == "skip":
    on_error = lambda error: None  # noqa: E731
  num_rows: dict[str, int] = dict.fromkeys(schema.SPLITS, 0)
  relations: dict[str, dict[str, None]] = {x: {} for x in schema.SPLITS}
  missing: dict[str, str] = {}
  num_files = num_words = num_unknown = num_captions = 0
  pictures = hashlib.sha256()
  object_word = planner.reader.describe().get("object_word")
  with_objects: dict[str, list[counts_only.Row]] = {}
  for split in schema.SPLITS:
    plans = planner.plans(split, on_error)
    for plan in progress.bar(plans, f"reading {split}", unit=" rows"):
      num_rows[split] += 1
      relations[split][plan.row.relation] = None
      num_words += len(plan.row.words)
      num_unknown += plan.num_unknown
      num_captions += bool(plan.caption.words)
      if object_word:
        counted = _counted(plan, object_word)
        with_objects.setdefault(split, []).append(counted)
      # Kept only where they are reported: there may be as many as rows.
      if settings.missing_pixels == "error":
        for path in plan.missing:
          missing.setdefault(path, plan.row.where)
      for path in _files(plan):
        num_files += 1
        name = os.path.relpath(path, settings.raw_dir)
        pictures.update(f"{name}\0{os.path.getsize(path)}\n".encode())
    if not num_rows[split]:
      raise ValueError(f"{split}: every row is invalid and would be skipped")
  if missing:
    raise ValueError(_describe_missing(missing))
  if num_unknown > _MAX_UNKNOWN * num_words:
    _log.warning(
      "tokenizer %r: %d of %d words are unknown to it ([UNK], %.0f %%); does it"
      " fit the language and case of the texts?",
      *(planner.tokenizer.name, num_unknown, num_words),
      100 * num_unknown / num_words,
    )
  # With a limit, train may lack any.
  if settings.limit is None:
    warn_untrained(relations)
  planner.report_joins()
  return Survey(
    num_rows, num_files, pictures.hexdigest(), num_captions, with_objects
  )


def _counted(plan: Plan, object_word: str) -> counts_only.Row:
  row = plan.row
  entities = counts_only.in_text(row.words, (row.head, row.tail), object_word)
  return counts_only.Row(row.img_id, entities, plan.num_detected, row.relation)


def _files(plan: Plan) -> list[str]:
  """Returns the path of each file that a plan draws from, once."""
  crops = [crop for kind in plan.squares.values() for crop in kind if crop]
  return list(dict.fromkeys(crop.path for crop in crops if crop.path))


def _describe_missing(missing: dict[str, str]) -> str:
  """Names the first three missing files, and how many there are."""
  first = ", ".join(
    f"{path} ({where})" for path, where in list(missing.items())[:3]
  )
  kinds = collections.Counter(path.split(os.sep)[0] for path in missing)
  numbers = ", ".join(f"{n} in {kind}" for kind, n in kinds.items())
  return (
    f"{len(missing)} pictures or crops have no file ({numbers}), first {first};"
    " fetch them, or choose --missing_pixels=absent or grey"
  )
