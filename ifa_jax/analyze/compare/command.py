r"""Compares systems on the same rows: scores, differences, disagreements.

    python -m ifa_jax.analyze compare runs/text objects=runs/a,runs/b x.jsonl \
        --json=compare.json --markdown=compare.md --disagreements=rows.jsonl

A system is [name=]PATH[,PATH...]. A path is a run's folder or a file of JSON
lines with id, gold and pred (and probability and protocol, if known). Several
paths are seeds of one system and are averaged; a path that exists may have
commas or "=" in it. The first system is the
reference that the others are compared with.

Intervals hold 95 % of bootstrap resamples of the posts: rows with one img_id
are drawn together, and a row without is a post of its own. Those of differences
are paired: both systems are scored on the same draws. Several seeds of a system
are drawn as well; intervals of a single one hold given its weights.

The negative class is None in any case of letters, or what --none names.
"""

import collections
import json
import logging
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from absl import flags

from ifa_jax.analyze.compare import disagreement, tables
from ifa_jax.statistics import bootstrap, paired, predictions, systems
from ifa_jax.statistics.paired import Estimates, Rows
from ifa_jax.statistics.systems import System
from ifa_jax.workdir.run_folder import RunFolder

TAKES_WORDS = True

_log = logging.getLogger("ifa_jax")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_enum(
    "split", "test", ["dev", "test"], "Which predictions of a run's folder."
  )
  flags.DEFINE_string("json", None, "Where everything goes, as JSON.")
  flags.DEFINE_string("markdown", None, "Where the tables go, as Markdown.")
  flags.DEFINE_string(
    "disagreements", None, "Where the rows go on which systems disagree."
  )
  flags.DEFINE_integer(
    "num_shown", 5, "How many of these rows to print.", lower_bound=0
  )
  flags.DEFINE_integer(
    "bootstrap_seed", 0, "Of the posts that are drawn.", lower_bound=0
  )
  flags.DEFINE_list(
    "none",
    [predictions.NONE],
    "Names of the negative class in files, in any case of letters: None,NA.",
  )


def main(argv: Sequence[str]) -> int | None:
  """Runs the command; returns 2 if it was given no system."""
  values = flags.FLAGS
  if len(argv) < 2:
    print("error: want [name=]PATH[,PATH...] of a system", file=sys.stderr)
    return 2
  read = systems.read(argv[1:], values.split, values.none)
  _check_none(read[0], values.none)
  result = compare(read, values.bootstrap_seed)
  unlike = list(disagreement.rows(read))
  tables.show(result)
  if result["pairs"]:
    tables.show_rows(unlike, values.num_shown)
  if values.json:
    _write(values.json, _protocol_first(result))
  if values.markdown:
    _write(values.markdown, tables.markdown(result))
  if values.disagreements:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in unlike)
    _write(values.disagreements, "".join(lines))
  return None


def _check_none(first: System, none: Sequence[str]) -> None:
  """Warns of rows that all count as relations."""
  lines = first.seeds[0].lines.values()
  if all(line["gold"] != predictions.NONE for line in lines):
    _log.warning(
      "%s: no row is %s, so that every row counts as a relation; --none=NAME"
      " names the negative class",
      first.seeds[0].path,
      " or ".join(none),
    )


def compare(
  compared: Sequence[System], bootstrap_seed: int = 0
) -> dict[str, Any]:
  """Compares systems with the first of them.

  Args:
    compared: one or more, as `statistics.systems.read` returns them.
    bootstrap_seed: of the draws that intervals are made from.

  Returns:
    Plain values ready for JSON: `protocol`, which is "protocols differ: ..."
    if they do; `systems` with their scores and under `unknown` the predictions
    of relations that no row has (name -> how many, in all seeds); and `pairs`,
    each of a system with the first, with differences (the system's minus the
    first's) of all scores and of each relation's F1, and counts of rows by who
    is right. Fractions lie in [0, 1].

  Raises:
    ValueError: if the systems cannot be compared.
  """
  systems.check(compared)
  rows = paired.align(compared)
  if not rows.posts.any():
    raise ValueError(
      f"{compared[0].seeds[0].path}: want at least 2 posts, found"
      f" {len(rows.gold)} rows of 1"
    )
  scores, differences = paired.estimate(rows, bootstrap_seed)
  seeds = paired.by_seed(rows)
  return {
    "protocol": systems.describe_protocols(compared),
    "n": len(rows.gold),
    "bootstrap": {
      "resamples": bootstrap.NUM_RESAMPLES,
      "seed": bootstrap_seed,
      "posts": int(rows.posts.max()) + 1,
    },
    "systems": [
      {
        **_system(system, scores, i, seeds[i]),
        "unknown": _unknown(system, rows.relations),
      }
      for i, system in enumerate(compared)
    ],
    "pairs": [
      _pair(compared, rows, scores, differences, i)
      for i in range(1, len(compared))
    ],
  }


def _system(
  system: System, scores: Estimates, i: int, seeds: np.ndarray
) -> dict[str, Any]:
  """Describes system i, whose seeds score float64[S, 4]."""
  found = {}
  for j, name in enumerate(bootstrap.SCORES):
    values = [float(value) for value in seeds[:, j]]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    found[name] = {
      **_interval(scores, i, j, "mean"),
      "deviation": deviation,
      "seeds": values,
    }
  return {
    "name": system.name,
    "protocol": system.protocol,
    "paths": [seed.path for seed in system.seeds],
    "scores": found,
  }


def _unknown(system: System, known: Sequence[str]) -> dict[str, int]:
  """Counts predictions of relations that no row has, most frequent first."""
  counts = collections.Counter(
    line["pred"] for seed in system.seeds for line in seed.lines.values()
  )
  return {name: n for name, n in counts.most_common() if name not in known}


def _pair(
  compared: Sequence[System],
  rows: Rows,
  scores: Estimates,
  differences: Estimates,
  i: int,
) -> dict[str, Any]:
  """Describes what lies between system i and the first."""
  counts = disagreement.count(rows.gold, rows.predicted[0], rows.predicted[i])
  single = len(rows.predicted[0]) == len(rows.predicted[i]) == 1
  by_relation = {
    name: _both(rows, scores, differences, i, paired.FIRST_F1 + j, j)
    for j, name in enumerate(rows.relations)
    if rows.support[j]
  }
  none = _both(rows, scores, differences, i, paired.NONE_ACCURACY, 0)
  *adjusted, none_accuracy = _adjust([*by_relation.values(), none])
  return {
    "first": compared[0].name,
    "second": compared[i].name,
    "differences": {
      name: _difference(differences, i - 1, j)
      for j, name in enumerate(bootstrap.SCORES)
    },
    "none_accuracy": none_accuracy,
    "f1_by_relation": dict(zip(by_relation, adjusted, strict=True)),
    "rows": counts,
    "mcnemar_p": _mcnemar(rows, i) if single else None,
  }


def _adjust(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """Adds `adjusted_p`, by Benjamini and Hochberg (1995, JRSS B 57, 289-300).

  Of those below 0.05, at most 1 in 20 is expected to be chance.
  """
  p_values = [one["p_value"] for one in found]
  adjusted = scipy.stats.false_discovery_control(p_values).tolist()
  pairs = zip(found, adjusted, strict=True)
  return [{**one, "adjusted_p": p} for one, p in pairs]


def _mcnemar(rows: Rows, i: int) -> float:
  """Tests whether the first system and system i have the same accuracy."""
  (first,), (second,) = (rows.predicted[k] == rows.gold for k in (0, i))
  apart = np.bincount(rows.posts, first.astype(int) - second)
  return disagreement.mcnemar(apart.astype(int))


def _both(
  rows: Rows,
  scores: Estimates,
  differences: Estimates,
  i: int,
  measure: int,
  relation: int,
) -> dict[str, Any]:
  """Describes a measure of one relation in the first system and system i."""
  return {
    "support": rows.support[relation],
    "first": float(scores.value[0, measure]),
    "second": float(scores.value[i, measure]),
    **_difference(differences, i - 1, measure),
  }


def _difference(differences: Estimates, i: int, measure: int) -> dict[str, Any]:
  found = _interval(differences, i, measure, "difference")
  excludes_0 = found["low"] > 0 or found["high"] < 0
  p_value = float(differences.p_value[i, measure])
  return {**found, "excludes_0": excludes_0, "p_value": p_value}


def _interval(
  found: Estimates, i: int, measure: int, name: str
) -> dict[str, float]:
  value, low, high = (float(bound[i, measure]) for bound in found[:3])
  return {name: value, "low": low, "high": high}


def _protocol_first(result: dict[str, Any]) -> str:
  """Returns indented JSON whose first line holds the protocol."""
  text = json.dumps(result, indent=2, ensure_ascii=False)
  return "{" + text.removeprefix("{").lstrip() + "\n"


def _write(path: str, text: str) -> None:
  folder, name = os.path.split(path)
  RunFolder(folder).write_text(name, text)
  print(f"written to {path}")
