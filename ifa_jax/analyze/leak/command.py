r"""Tests whether counts, such as that of crops, reveal the labels of a dataset.

    python -m ifa_jax.analyze leak --data_dir=data
    python -m ifa_jax.analyze leak --data_dir=prepared --protocol=clean
    python -m ifa_jax.analyze leak --data_dir=data --counts=counts.json

Reads a tree as published or a prepared dataset, and no pixels. Shows the crops
of rows with and without a relation, and tests how well their number predicts
the relation or its absence: learned on train and tested on val and test, and by
cross-validation within each split. All other counts of the dataset are tested
as well, and those of `--counts`, a JSON file of numbers by row or picture:

    {"caption length": {"a.jpg": 12, "b.jpg": 7}, "entities": {"test/1": 2}}

A row is named by its split and the line of its text file (from 1). A count with
more than 32 values is divided into 32 groups of about as many rows. Queries, if
any, are compared with the argument types of the gold relations. In datasets
whose entities may be objects of the picture, each post's numbers of entities,
objects and pairs are tested on one row of it, and the relations that train has
for as many entities and objects are scored as predictions. `information` and
`queries` define a leak. If no count is informative, at most 1 audit in 100
reports a leak in one, however many are tested.

Exit status: 1 if there is a leak, 0 if there is none or if there are too few
rows to tell. It is also 1 if the audit fails, which prints a line `error: ...`
on standard error and no verdict.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.analyze.leak import counts as leak_counts
from ifa_jax.analyze.leak import information, queries, sources, tables
from ifa_jax.analyze.leak.information import Sample
from ifa_jax.analyze.leak.sources import Row
from ifa_jax.data import schema
from ifa_jax.statistics import bootstrap, counts_only

TOLERANCE = 0.05
MAX_VALUES = 32

_QUERIES = "gold types in the query"


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string(
    "data_dir", None, "A tree as published, or a prepared dataset."
  )
  flags.DEFINE_enum(
    "protocol",
    None,
    schema.PROTOCOLS,
    "The dataset to read if several are prepared there.",
  )
  flags.DEFINE_string(
    "counts",
    None,
    "JSON file of further numbers to test, {name: {row or img_id: number}}; a"
    " row is split/line, e.g. test/12.",
  )
  flags.DEFINE_float(
    "tolerance",
    100 * TOLERANCE,
    "Percent of the bits of a label that a number may reveal.",
    lower_bound=0,
    upper_bound=100,
  )
  flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")
  flags.mark_flag_as_required("data_dir")


def main(_) -> int:
  """Runs the command and returns its exit status."""
  values = flags.FLAGS
  found = measure(
    values.data_dir, values.protocol, values.tolerance / 100, values.counts
  )
  if values.json:
    print(json.dumps(found, indent=2))
  else:
    tables.show(found)
    print(summary(found))
  return int(found["verdict"] == information.LEAK)


def measure(
  data_dir: str,
  protocol: str | None = None,
  tolerance: float = TOLERANCE,
  counts_file: str | None = None,
) -> dict[str, Any]:
  """Measures the information about labels in the counts of a dataset.

  `data_dir` and `protocol` are those of `sources.read`, `counts_file` that of
  `sources.add_counts`; `tolerance` is the maximal share of the bits of a label.

  Returns:
    Plain values ready for JSON: `data_dir`, `source` and `protocol`;
    `tolerance`; `level`, false positive rate of each test; `rows`: split ->
    rows of each class; `counts`: name -> `counts.measure`, for the counts of
    the file, and those of the dataset that are not 0 in all rows nor equal to
    an earlier one; `duplicates`: kind -> split -> rows of each class with a
    crop that they have twice; `queries`, or None: split -> rows without a
    relation (`none`), with one (`relation`), and with one that has types
    (`typed`), and how many of their queries end in exactly these types, and
    `judged` -> `queries.judge`; `counts_only`: `counts_only.score`, or None
    where entities are never objects; `verdicts`: name -> verdict; `verdict`:
    the worst of them.

  Raises:
    ValueError: for a folder of another kind or protocol, and malformed files.
  """
  source = sources.read(data_dir, protocol)
  supplied = sources.add_counts(source, counts_file) if counts_file else []
  numbers = _numbers(source.splits, supplied)
  level = information.ALPHA / max(1, leak_counts.NUM_TESTS * len(numbers))
  counts = {
    name: leak_counts.measure(splits, tolerance, level)
    for name, splits in numbers.items()
  }
  asked, rows = _queries(source.splits), source.with_objects
  verdicts = {name: found["verdict"] for name, found in counts.items()}
  if asked:
    verdicts[_QUERIES] = asked["judged"]["verdict"]
  return {
    "data_dir": str(data_dir),
    "source": source.description,
    "protocol": source.protocol,
    "tolerance": tolerance,
    "level": level,
    "rows": _by_class(source.splits, lambda row: True),
    "counts": counts,
    "duplicates": {
      kind: _by_class(source.splits, lambda row, kind=kind: row.repeats[kind])
      for kind in sources.KINDS
    },
    "queries": asked,
    "counts_only": counts_only.score(rows) if rows else None,
    "verdicts": verdicts,
    "verdict": information.worst(verdicts.values()),
  }


def summary(found: Mapping[str, Any]) -> str:
  """Returns the verdict of `measure` in one line."""
  verdict = found["verdict"]
  names = [name for name, said in found["verdicts"].items() if said == verdict]
  if verdict == information.LEAK:
    reason = f"{', '.join(names)} reveal whether a row has a relation, or which"
  elif verdict == information.TOO_FEW:
    reason = f"undecided for {', '.join(names)}"
  else:
    reason = (
      f"no number reveals more than {100 * found['tolerance']:g} % of whether a"
      " row has a relation, or of which"
    )
    significant = [
      name
      for name, counted in found["counts"].items()
      if any(
        test["p_value"] <= found["level"]
        for *_, test in leak_counts.tests_of(counted)
      )
    ]
    if significant:
      reason += f"; less than that: {', '.join(significant)}"
  return f"{verdict} ({found['source']}): {reason}"


def _numbers(
  splits: Mapping[str, Sequence[Row]], supplied: Sequence[str]
) -> dict[str, dict[str, Sample]]:
  """Returns name -> split -> numbers; omits zeros and repeated numbers."""
  rows = [row for rows in splits.values() for row in rows]
  related = sorted({row.relation for row in rows if row.has_relation})
  ids = {name: i for i, name in enumerate(related, start=1)}
  labels = np.array([ids.get(row.relation, 0) for row in rows], np.int64)
  posts = [
    bootstrap.number_posts([row.img_id for row in rows])
    for rows in splits.values()
  ]
  ends = np.cumsum([len(rows) for rows in splits.values()])[:-1]
  found, seen = {}, set()
  for name in rows[0].counts:
    values = _group(np.array([row.counts[name] for row in rows], np.float64))
    of_posts = name.endswith(sources.OF_POSTS)
    is_new = values.any() and values.tobytes() not in seen
    if name in supplied or of_posts or is_new:
      parts = map(Sample, np.split(values, ends), np.split(labels, ends), posts)
      parts = map(_one_per_post, parts) if of_posts else parts
      found[name] = dict(zip(splits, parts, strict=True))
    seen.add(values.tobytes())
  return found


def _one_per_post(sample: Sample) -> Sample:
  """Returns a random row of each post.

  A test exchanges the numbers of posts with as many rows, which would hide a
  number that follows from these.
  """
  order = np.random.default_rng(0).permutation(len(sample.posts))
  rows = order[np.unique(sample.posts[order], return_index=True)[1]]
  return Sample(*(values[rows] for values in sample))


def _group(values: np.ndarray) -> np.ndarray:
  """Replaces float64[n] values by the least of their group, if there are many.

  Integers are returned as int64.
  """
  if len(np.unique(values)) > MAX_VALUES:
    # Labels have no part in this, so that tests stay valid.
    shares = np.arange(MAX_VALUES) / MAX_VALUES
    least = np.unique(np.quantile(values, shares, method="lower"))
    values = least[np.searchsorted(least, values, side="right") - 1]
  is_whole = np.all(values == np.rint(values)) and np.all(abs(values) < 2**53)
  return values.astype(np.int64) if is_whole else values


def _by_class(splits: Mapping[str, Sequence[Row]], condition) -> dict[str, Any]:
  """Counts the rows of each split and class that meet a condition."""
  return {
    split: {
      "none": sum(bool(condition(r)) for r in rows if not r.has_relation),
      "relation": sum(bool(condition(r)) for r in rows if r.has_relation),
    }
    for split, rows in splits.items()
  }


def _queries(splits: Mapping[str, Sequence[Row]]) -> dict[str, Any] | None:
  """Counts queries that end in exactly the types of the gold relation."""
  compared = {}
  for split, rows in splits.items():
    if not rows or rows[0].asked is None:
      continue
    found = compared[split] = {
      f"{kind}_{counted}": 0
      for kind in ("none", "relation", "typed")
      for counted in ("rows", "equal")
    }
    for row in rows:
      types = queries.gold_types(row.relation)
      kinds = ["relation" if row.has_relation else "none"]
      kinds += ["typed"] * (row.has_relation and bool(types))
      for kind in kinds:
        found[f"{kind}_rows"] += 1
        found[f"{kind}_equal"] += row.asked == types
  if not compared:
    return None
  equal, total = (
    sum(found[name] for found in compared.values())
    for name in ("typed_equal", "typed_rows")
  )
  return compared | {"judged": queries.judge(equal, total)}
