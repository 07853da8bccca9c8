"""Tables of `names`."""

from collections.abc import Mapping
from typing import Any

from ifa_jax.analyze import tables
from ifa_jax.analyze.tables import Table

_COLUMNS = ("rows", "original", "replaced", "difference, 95 %")


def head(result: Mapping[str, Any]) -> list[str]:
  """Returns the lines above the tables; the first is the protocol."""
  seeds = result["seeds"]
  also = " and draws" if len(seeds) > 1 else ""
  lines = [
    f"protocol: {result['protocol']}",
    f"{result['rewriting']} in {result['run']}",
    f"{result['n']} test rows of {result['posts']} posts; intervals by posts"
    f"{also}, paired, given these weights",
  ]
  if len(seeds) > 1:
    by_seed = map(tables.percent, result["scores"]["f1"]["by_seed"])
    lines.append(f"replaced: mean ± deviation of {len(seeds)} draws of names")
    lines.append(f"F1 by draw: {', '.join(by_seed)}")
  changed = (
    f"{tables.percent(share)} % of {name}"
    for name, share in result["changed"].items()
  )
  lines.append(f"predictions that changed: {', '.join(changed)}")
  for key, text in (
    ("unchanged", "rows kept as they are, since their entities overlap"),
    ("cut", "rows per draw whose new text is too long and was cut"),
  ):
    if result.get(key):
      lines.append(f"{text}: {result[key]:g}")
  if result.get("guessed"):
    lines.append(
      f"rows without a relation whose names got a type by chance:"
      f" {result['guessed']} (recall does not depend on them)"
    )
  lines += [f"{k}: {n}" for k, n in result.get("left_out", {}).items() if n]
  return [*lines, tables.MARKED]


def tables_of(result: Mapping[str, Any]) -> list[Table]:
  """Returns the tables of scores and of groups of rows."""
  found = [_table("Scores", "score", result["scores"])]
  if result["groups"]:
    found.append(_table("Accuracy by rows", "gold", result["groups"]))
  return found


def _table(title: str, name: str, found: Mapping[str, Any]) -> Table:
  lines = [
    [
      key.replace("f1", "F1"),
      str(one["support"]),
      tables.percent(one["original"]),
      tables.mean(one["by_seed"]),
      tables.difference(one),
    ]
    for key, one in found.items()
  ]
  return Table(title, (name, *_COLUMNS), [lines])
