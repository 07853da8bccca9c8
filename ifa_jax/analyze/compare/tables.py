"""What `compare` found, as printed tables and as Markdown."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.analyze import tables
from ifa_jax.analyze.tables import Table
from ifa_jax.cli import tables as report

_LABELS = {
  "accuracy": "accuracy",
  "precision": "precision",
  "recall": "recall",
  "f1": "F1",
}

# Relations in a line; the JSON has all.
_MOST_NAMED = 5


def show(result: Mapping[str, Any]) -> None:
  """Prints all tables; the first line says the protocol.

  Args:
    result: as `compare.compare` returns it.
  """
  print("\n".join(_head(result)))
  for table in _tables(result):
    print()
    tables.show(table)


def markdown(result: Mapping[str, Any]) -> str:
  """Returns all tables as Markdown; the first line says the protocol."""
  return tables.markdown(_head(result), [*_tables(result)])


def show_rows(rows: Sequence[Mapping[str, Any]], most: int) -> None:
  """Prints the first of the rows that `disagreement.rows` yields."""
  shown = rows[:most]
  note = f"; the first {len(shown)} (* right):" if shown else ""
  print(f"\n{len(rows)} rows with differing predictions{note}")
  for row in shown:
    print(f"\n{row['id']}: {row['gold']}")
    for name, predictions in row["predictions"].items():
      said = ", ".join(_said(x, row["gold"]) for x in predictions)
      print(f"  {name}: {said}")
    if readable := _readable(row):
      print(
        textwrap.fill(readable, 80, initial_indent="  ", subsequent_indent="  ")
      )


def _said(prediction: Mapping[str, Any], gold: str) -> str:
  """Returns "None 0.71", with a mark if it is right."""
  probability = prediction["probability"]
  shown = "" if probability is None else f" {probability:.2f}"
  return f"{prediction['pred']}{shown}{' *' * (prediction['pred'] == gold)}"


def _readable(row: Mapping[str, Any]) -> str:
  """Returns what there is of "Ann -> Acme: Ann joins Acme (a.jpg)"."""
  text = str(row.get("text", ""))
  if "head" in row and "tail" in row:
    text = f"{row['head']} -> {row['tail']}: {text}"
  return f"{text} ({row['img_id']})" if "img_id" in row else text


def _head(result: Mapping[str, Any]) -> list[str]:
  protocol = result["protocol"]
  if not protocol.startswith("protocols differ"):
    protocol = f"protocol: {protocol}"
  seeds = {x["name"]: len(x["paths"]) for x in result["systems"]}
  rows = f"{result['n']} rows"
  lines = [protocol, *tables.resampling(rows, result["bootstrap"], seeds)]
  for i, system in enumerate(result["systems"]):
    note = "" if i or not result["pairs"] else " (the reference)"
    lines.append(f"{system['name']}{note}: {', '.join(system['paths'])}")
    lines += _unknown(system)
  if result["pairs"]:
    lines.append(
      "* where the interval of a difference excludes 0; by relation, where the"
      f" difference is not 0 at a false discovery rate of"
      f" {100 * tables.FALSE_DISCOVERIES:g} % (Benjamini-Hochberg)"
    )
  return lines


def _unknown(system: Mapping[str, Any]) -> Iterator[str]:
  """Yields a line of predictions that no row has, where there are any."""
  if counts := system["unknown"]:
    shown = [f"{name} ({number})" for name, number in counts.items()]
    named = ", ".join(
      shown[:_MOST_NAMED] + ["..."] * (len(shown) > _MOST_NAMED)
    )
    yield (
      f"{system['name']}: {sum(counts.values())} predictions of relations that"
      f" no row has, all wrong: {named}"
    )


def _tables(result: Mapping[str, Any]) -> Iterator[Table]:
  protocols = {x["name"]: x["protocol"] for x in result["systems"]}
  yield _scores(result["systems"])
  if result["pairs"]:
    yield _differences(result["pairs"], protocols)
  for pair in result["pairs"]:
    yield _relations(pair, protocols)
    yield _counts(pair, protocols)


def _scores(systems: Sequence[Mapping[str, Any]]) -> Table:
  sections = []
  for system in systems:
    lines = [
      [
        _LABELS[name],
        tables.with_interval(report.percent(score["mean"]), score),
        _deviation(score),
      ]
      for name, score in system["scores"].items()
    ]
    sections.append(tables.named([system["name"], system["protocol"]], lines))
  columns = ("system", "protocol", "score", "percent", "seeds")
  return Table("Scores", columns, sections)


def _differences(
  pairs: Sequence[Mapping[str, Any]], protocols: Mapping[str, str]
) -> Table:
  sections = []
  for pair in pairs:
    lines = [
      [_LABELS[name], tables.difference(x)]
      for name, x in pair["differences"].items()
    ]
    names = [pair["second"], protocols[pair["second"]]]
    sections.append(tables.named(names, lines))
  title = f"Differences from {_of(pairs[0]['first'], protocols)}"
  return Table(title, ("system", "protocol", "score", "points"), sections)


def _relations(pair: Mapping[str, Any], protocols: Mapping[str, str]) -> Table:
  found = dict(pair["f1_by_relation"])
  none = {"None": found.pop("None")} if "None" in found else {}
  none["None, accuracy"] = pair["none_accuracy"]
  title = (
    f"F1 by relation: A = {_of(pair['first'], protocols)},"
    f" B = {_of(pair['second'], protocols)}"
  )
  sections = [
    [_relation(name, x) for name, x in part.items()] for part in (found, none)
  ]
  columns = ("relation", "rows", "A", "B", "B - A")
  return Table(title, columns, sections)


def _relation(name: str, found: Mapping[str, Any]) -> list[str]:
  values = [report.percent(found[key]) for key in ("first", "second")]
  return [name, str(found["support"]), *values, tables.difference(found)]


def _counts(pair: Mapping[str, Any], protocols: Mapping[str, str]) -> Table:
  counts, p = pair["rows"], pair["mcnemar_p"]
  note = (
    "mean over pairs of seeds"
    if p is None
    else f"McNemar's exact test of equal accuracy, by posts: p = {p:.2g}"
  )
  first, second = (_of(pair[key], protocols) for key in ("first", "second"))
  lines = [
    [f"{first} right", counts["both_right"], counts["only_first_right"]],
    [f"{first} wrong", counts["only_second_right"], counts["both_wrong"]],
  ]
  cells = [[name, *(f"{n:.{p is None:d}f}" for n in ns)] for name, *ns in lines]
  columns = ("rows", f"{second} right", f"{second} wrong")
  return Table(f"Who is right ({note})", columns, [cells])


def _of(name: str, protocols: Mapping[str, str]) -> str:
  return f"{name} ({protocols[name]})"


def _deviation(score: Mapping[str, Any]) -> str:
  """Returns how many seeds there are: "1", or "3, sd 0.71" in percent."""
  count = str(len(score["seeds"]))
  if score["deviation"] is None:
    return count
  return f"{count}, sd {report.percent(score['deviation'])}"
