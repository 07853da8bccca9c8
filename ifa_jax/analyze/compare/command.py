r"""Compares systems on the same rows: scores, differences, disagreements.

    python -m ifa_jax.analyze compare runs/text objects=runs/a,runs/b x.jsonl \
        --json=compare.json --markdown=compare.md --disagreements=rows.jsonl

A system is [name=]PATH[,PATH...]. A path is a run's folder or a file of JSON
lines with id, gold and pred (and probability and protocol, if known). Several
paths are seeds of one system and are averaged; a path that exists may have
commas or "=" in it. The first system is the
reference that the others are compared with.

Intervals hold 95 % of bootstrap resamples of the rows; those of differences are
paired: both systems are scored on the same draws.
"""

import json
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.analyze.compare import disagreement, tables
from ifa_jax.statistics import bootstrap, paired, systems
from ifa_jax.statistics.paired import Estimates, Rows
from ifa_jax.statistics.systems import System
from ifa_jax.workdir.run_folder import RunFolder

TAKES_WORDS = True


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
    "bootstrap_seed", 0, "Of the rows that are drawn.", lower_bound=0
  )


def main(argv: Sequence[str]) -> int | None:
  """Runs the command; returns 2 if it was given no system."""
  values = flags.FLAGS
  if len(argv) < 2:
    print("error: want [name=]PATH[,PATH...] of a system", file=sys.stderr)
    return 2
  read = systems.read(argv[1:], values.split)
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


def compare(
  compared: Sequence[System], bootstrap_seed: int = 0
) -> dict[str, Any]:
  """Compares systems with the first of them.

  Args:
    compared: one or more, as `statistics.systems.read` returns them.
    bootstrap_seed: of the draws that intervals are made from.

  Returns:
    Plain values ready for JSON: `protocol`, which is "protocols differ: ..."
    if they do; `systems` with their scores; and `pairs`, each of a system with
    the first, with differences (the system's minus the first's) of all scores
    and of each relation's F1, and counts of rows by who is right. Fractions lie
    in [0, 1].

  Raises:
    ValueError: if the systems cannot be compared.
  """
  systems.check(compared)
  rows = paired.align(compared)
  if len(rows.gold) < 2:
    raise ValueError(
      f"{compared[0].seeds[0].path}: want at least 2 rows, found 1"
    )
  scores, differences = paired.estimate(rows, bootstrap_seed)
  seeds = paired.by_seed(rows)
  return {
    "protocol": systems.describe_protocols(compared),
    "n": len(rows.gold),
    "bootstrap": {"resamples": bootstrap.NUM_RESAMPLES, "seed": bootstrap_seed},
    "systems": [
      _system(system, scores, i, seeds[i]) for i, system in enumerate(compared)
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
  alone = counts["only_first_right"], counts["only_second_right"]
  return {
    "first": compared[0].name,
    "second": compared[i].name,
    "differences": {
      name: _difference(differences, i - 1, j)
      for j, name in enumerate(bootstrap.SCORES)
    },
    "none_accuracy": _both(
      rows, scores, differences, i, paired.NONE_ACCURACY, 0
    ),
    "f1_by_relation": {
      name: _both(rows, scores, differences, i, paired.FIRST_F1 + j, j)
      for j, name in enumerate(rows.relations)
      if rows.support[j]
    },
    "rows": counts,
    "mcnemar_p": disagreement.mcnemar(*map(int, alone)) if single else None,
  }


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
  return {**found, "excludes_0": found["low"] > 0 or found["high"] < 0}


def _interval(
  found: Estimates, i: int, measure: int, name: str
) -> dict[str, float]:
  value, low, high = (float(bound[i, measure]) for bound in found)
  return {name: value, "low": low, "high": high}


def _protocol_first(result: dict[str, Any]) -> str:
  """Returns indented JSON whose first line holds the protocol."""
  text = json.dumps(result, indent=2, ensure_ascii=False)
  return "{" + text.removeprefix("{").lstrip() + "\n"


def _write(path: str, text: str) -> None:
  folder, name = os.path.split(path)
  RunFolder(folder).write_text(name, text)
  print(f"written to {path}")
