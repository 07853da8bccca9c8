r"""Compares systems on the same rows: scores, differences, disagreements.

    python -m ifa_jax.analyze compare runs/text objects=runs/a,runs/b x.jsonl \
        --json=compare.json --markdown=compare.md --disagreements=rows.jsonl

A system is [name=]PATH[,PATH...]. A path is a run's folder or a file of JSON
lines with id, gold and pred (and probability and protocol, if known). Several
paths are seeds of one system and are averaged; a path that exists may contain
commas and "=". The first system is the reference for the others.

Intervals contain 95 % of bootstrap resamples of the posts: rows with the same
img_id are drawn together, and a row without one is a post of its own. Intervals
of differences are paired: both systems are scored on the same resamples. If a
system has several seeds, they are resampled as well; intervals of a single seed
hold given its weights.

The negative class is None in upper or lower case, or as --none names it.
"""

import collections
import json
import logging
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from absl import flags

from ifa_jax.analyze import outputs
from ifa_jax.analyze.compare import disagreement, tables
from ifa_jax.statistics import (
  bootstrap,
  metrics,
  paired,
  predictions,
  systems,
)
from ifa_jax.statistics.paired import Estimates, Rows
from ifa_jax.statistics.systems import PredictedSystem

TAKES_WORDS = True

_log = logging.getLogger("ifa_jax")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_enum(
    "split", "test", ["dev", "test"], "Predictions of a run's folder to read."
  )
  for name, content in (
    ("json", "the result, as JSON"),
    ("markdown", "the tables, as Markdown"),
    ("disagreements", "the rows on which systems disagree, as JSON lines"),
  ):
    flags.DEFINE_string(name, None, f"File for {content}.")
  flags.DEFINE_integer(
    "num_shown", 5, "Rows of --disagreements to print.", lower_bound=0
  )
  flags.DEFINE_integer(
    "bootstrap_seed", 0, "Seed of the resamples.", lower_bound=0
  )
  flags.DEFINE_list(
    "none",
    [predictions.NONE],
    "Names of the negative class in files, upper or lower case: None,NA.",
  )


def main(argv: Sequence[str]) -> int | None:
  """Runs the command; returns 2 if no system is given."""
  values = flags.FLAGS
  if len(argv) < 2:
    print("error: expected [name=]PATH[,PATH...] of a system", file=sys.stderr)
    return 2
  read = systems.read(argv[1:], values.split, values.none)
  first = read[0].seeds[0]
  if all(line["gold"] != predictions.NONE for line in first.lines.values()):
    _log.warning(
      "%s: no row is %s, so every row counts as a relation; --none=NAME names"
      " the negative class",
      first.path,
      " or ".join(values.none),
    )
  outputs.make_folders(values.json, values.markdown, values.disagreements)
  result = compare(read, values.bootstrap_seed)
  unlike = list(disagreement.rows(read))
  tables.show(result)
  if result["pairs"]:
    tables.show_rows(unlike, values.num_shown)
  if values.json:
    text = json.dumps(result, indent=2, ensure_ascii=False)
    # The first line shows the protocol.
    _write(values.json, "{" + text.removeprefix("{").lstrip() + "\n")
  if values.markdown:
    _write(values.markdown, tables.markdown(result))
  if values.disagreements:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in unlike)
    _write(values.disagreements, "".join(lines))
  return None


def compare(
  compared: Sequence[PredictedSystem], bootstrap_seed: int = 0
) -> dict[str, Any]:
  """Compares one or more systems with the first of them.

  Returns:
    Plain values ready for JSON: `protocol`, which is "protocols differ: ..."
    if they do; `systems` with their scores, and under `unknown` the predictions
    of relations that no row has (name -> number, in all seeds); and `pairs`,
    each of a system with the first, with differences (the system's minus the
    first's) of all scores and of each relation's F1, and counts of rows by the
    system that is right; and `counts_only`, guesses without text and picture,
    or None. Fractions are in [0, 1].

  Raises:
    ValueError: if the systems cannot be compared.
  """
  systems.check(compared)
  rows = paired.align(compared)
  if not rows.posts.any():
    raise ValueError(
      f"{compared[0].seeds[0].path}: expected at least 2 posts, got"
      f" {len(rows.gold)} rows of 1"
    )
  scores, differences = paired.estimate(rows, bootstrap_seed)
  by_seed = paired.by_seed(rows)
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
        "name": system.name,
        "protocol": system.protocol,
        "paths": [seed.path for seed in system.seeds],
        "scores": _scores(scores, i, by_seed[i]),
        "unknown": _unknown(system, rows.relations),
      }
      for i, system in enumerate(compared)
    ],
    "pairs": [
      {"first": compared[0].name, "second": compared[i].name}
      | _pair(rows, scores, differences, i)
      for i in range(1, len(compared))
    ],
    "counts_only": _counts_only(compared),
  }


def _counts_only(compared: Sequence[PredictedSystem]) -> Any:
  """Returns the guesses that come with the first model that has any."""
  every = (seed.counts_only for system in compared for seed in system.seeds)
  return next((found for found in every if found is not None), None)


def _scores(scores: Estimates, i: int, seeds: np.ndarray) -> dict[str, Any]:
  """Describes the scores of system i, whose seeds score float64[S, 4]."""
  return {
    name: {
      **_interval(scores, i, j, "mean"),
      "deviation": statistics.stdev(column) if len(column) > 1 else None,
      "seeds": column,
    }
    for j, (name, column) in enumerate(
      zip(bootstrap.SCORES, seeds.T.tolist(), strict=True)
    )
  }


def _unknown(system: PredictedSystem, known: Sequence[str]) -> dict[str, int]:
  """Counts predictions of relations that no row has, most frequent first."""
  lines = (line for seed in system.seeds for line in seed.lines.values())
  counts = collections.Counter(line["pred"] for line in lines)
  return {name: n for name, n in counts.most_common() if name not in known}


def _pair(
  rows: Rows, scores: Estimates, differences: Estimates, i: int
) -> dict[str, Any]:
  """Describes the differences of system i from the first."""

  def difference(measure):
    found = _interval(differences, i - 1, measure, "difference")
    excludes_0 = found["low"] > 0 or found["high"] < 0
    p_value = float(differences.p_value[i - 1, measure])
    return {**found, "excludes_0": excludes_0, "p_value": p_value}

  def of_relation(measure, relation):
    first, second = scores.value[[0, i], measure].tolist()
    found = {"support": rows.support[relation], "first": first}
    return found | {"second": second} | difference(measure)

  by_relation = {
    rows.relations[j]: of_relation(paired.FIRST_F1 + j, j)
    for j, support in enumerate(rows.support)
    if support
  }
  none = of_relation(paired.NONE_ACCURACY, metrics.NONE)
  _adjust([*by_relation.values(), none])
  first, second = rows.predicted[0], rows.predicted[i]
  p_value = None
  if len(first) == len(second) == 1:
    apart = (first[0] == rows.gold).astype(int) - (second[0] == rows.gold)
    p_value = disagreement.mcnemar(np.bincount(rows.posts, apart).astype(int))
  return {
    "differences": {
      name: difference(j) for j, name in enumerate(bootstrap.SCORES)
    },
    "none_accuracy": none,
    "f1_by_relation": by_relation,
    "rows": disagreement.count(rows.gold, first, second),
    "mcnemar_p": p_value,
  }


def _adjust(found: Sequence[dict[str, Any]]) -> None:
  """Adds `adjusted_p`, by Benjamini and Hochberg (1995, JRSS B 57, 289-300).

  Of those below 0.05, at most 1 in 20 is expected to be chance.
  """
  p_values = [one["p_value"] for one in found]
  adjusted = scipy.stats.false_discovery_control(p_values).tolist()
  for one, p_value in zip(found, adjusted, strict=True):
    one["adjusted_p"] = p_value


def _interval(found: Estimates, i: int, j: int, name: str) -> dict[str, float]:
  value, low, high = (float(bound[i, j]) for bound in found[:3])
  return {name: value, "low": low, "high": high}


def _write(path: str, text: str) -> None:
  outputs.write(path, text)
  print(f"written to {path}")
