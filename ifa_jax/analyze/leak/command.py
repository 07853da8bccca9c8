r"""What a dataset tells of the labels without a pixel being looked at.

    python -m ifa_jax.analyze leak --data_dir=data
    python -m ifa_jax.analyze leak --data_dir=prepared --protocol=clean

Reads a tree as published or a prepared dataset. Counts the crops of rows with
and without a relation, learns on train how the count alone predicts the
relation or its absence, and evaluates this on val and test. It does the same
for every other number that is available, and compares the queries, if any, with
the gold relations' argument types. `information` and, for queries, `queries`
define a leak. If no number is informative, at most one audit in 100 reports
one.

Exit status: 1 if there is a leak, 0 if there is none or if there are too few
rows to tell.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.analyze.leak import counts as leak_counts
from ifa_jax.analyze.leak import queries as leak_queries
from ifa_jax.analyze.leak import sources, tables, verdicts
from ifa_jax.analyze.leak.counts import Counted
from ifa_jax.analyze.leak.sources import Row
from ifa_jax.data import schema
from ifa_jax.statistics import bootstrap

TOLERANCE = 0.05

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
    "Which dataset, where several are prepared there.",
  )
  flags.DEFINE_float(
    "tolerance",
    100 * TOLERANCE,
    "Percent of the bits that a label leaves open which a number may tell.",
    lower_bound=0,
    upper_bound=100,
  )
  flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")
  flags.mark_flag_as_required("data_dir")


def main(_) -> int:
  """Runs the command and returns its exit status."""
  found = measure(
    flags.FLAGS.data_dir, flags.FLAGS.protocol, flags.FLAGS.tolerance / 100
  )
  if flags.FLAGS.json:
    print(json.dumps(found, indent=2))
  else:
    tables.show(found)
    print(summary(found))
  return int(found["verdict"] == verdicts.LEAK)


def measure(
  data_dir: str, protocol: str | None = None, tolerance: float = TOLERANCE
) -> dict[str, Any]:
  """Measures what a dataset tells without a pixel.

  Args:
    data_dir: a tree as published, or a prepared dataset.
    protocol: which dataset, where several are prepared there.
    tolerance: share of the bits that labels leave open which a number may tell
      on val and test, in [0, 1].

  Returns:
    Plain values ready for JSON: `data_dir`, `source` and `protocol`;
    `tolerance`; `level` of each number's tests; `rows`: split -> rows of each
    class; `counts`: name -> see `leak_counts.measure`, for every number that
    is not 0 in all rows and not the same as one before; `duplicates`: kind ->
    split -> rows of each class with a crop that they have twice; `queries`:
    split -> see `leak_queries.compare`, with the verdict under `judged`, or
    None; `verdicts`: name -> verdict; `verdict`: the worst of them.

  Raises:
    ValueError: for a folder of another kind or protocol, and for bad files.
  """
  source = sources.read(data_dir, protocol)
  numbers = _numbers(source.splits)
  # Of finding and of naming.
  level = verdicts.ALPHA / max(1, 2 * len(numbers))
  counts = {
    name: leak_counts.measure(splits, tolerance, level)
    for name, splits in numbers.items()
  }
  queries = _queries(source.splits)
  said = {name: found["held_out"]["verdict"] for name, found in counts.items()}
  if queries:
    said[_QUERIES] = queries["judged"]["verdict"]
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
    "queries": queries,
    "verdicts": said,
    "verdict": verdicts.worst(said.values()),
  }


def summary(found: Mapping[str, Any]) -> str:
  """Returns the verdict on what `measure` found, in one line."""
  verdict = found["verdict"]
  names = [name for name, said in found["verdicts"].items() if said == verdict]
  if verdict == verdicts.LEAK:
    reason = f"{', '.join(names)} tell whether a row has a relation, or which"
  elif verdict == verdicts.TOO_FEW:
    reason = f"undecided for {', '.join(names)}"
  else:
    reason = (
      f"no number tells more than {100 * found['tolerance']:g} % of whether a"
      f" row has a relation, or of which{_little(found)}"
    )
  return f"{verdict} ({found['source']}): {reason}"


def _little(found: Mapping[str, Any]) -> str:
  """Returns "; picture tells something", for numbers that are not unrelated."""
  names = [
    name
    for name, counted in found["counts"].items()
    if any(
      counted["held_out"][question]["p_value"] <= found["level"]
      for question in leak_counts.QUESTIONS
      if counted["held_out"][question]
    )
  ]
  return f"; less than that: {', '.join(names)}" if names else ""


def _numbers(
  splits: Mapping[str, Sequence[Row]],
) -> dict[str, dict[str, Counted]]:
  """Returns name -> split -> numbers; leaves out zeros and repetitions."""
  every = [row for rows in splits.values() for row in rows]
  related = sorted({row.relation for row in every if row.has_relation})
  ids = {name: i for i, name in enumerate(related, start=1)}
  names = list(every[0].counts)
  numbers, seen = {}, set()
  for name in names:
    counted = {
      split: _counted(rows, name, ids) for split, rows in splits.items()
    }
    every = np.concatenate([split.numbers for split in counted.values()])
    if every.any() and every.tobytes() not in seen:
      numbers[name] = counted
    seen.add(every.tobytes())
  return numbers


def _counted(rows: Sequence[Row], name: str, ids: Mapping[str, int]) -> Counted:
  return Counted(
    np.array([row.counts[name] for row in rows], np.int64),
    np.array([ids.get(row.relation, 0) for row in rows], np.int64),
    bootstrap.number_posts([row.img_id for row in rows]),
  )


def _by_class(splits: Mapping[str, Sequence[Row]], condition) -> dict[str, Any]:
  """Counts the rows of each split and class that fulfil a condition."""
  return {
    split: {
      "none": sum(bool(condition(r)) for r in rows if not r.has_relation),
      "relation": sum(bool(condition(r)) for r in rows if r.has_relation),
    }
    for split, rows in splits.items()
  }


def _queries(splits: Mapping[str, Sequence[Row]]) -> dict[str, Any] | None:
  """Compares queries with gold relations, in splits that have queries."""
  compared = {
    split: leak_queries.compare(
      [leak_queries.gold_types(row.relation) for row in rows],
      [row.asked for row in rows if row.asked is not None],
      [row.has_relation for row in rows],
    )
    for split, rows in splits.items()
    if rows and rows[0].asked is not None
  }
  if not compared:
    return None
  return compared | {"judged": leak_queries.judge(list(compared.values()))}
