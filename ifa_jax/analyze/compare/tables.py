"""Tables of `compare`, printed or as Markdown."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.analyze import tables
from ifa_jax.analyze.tables import Table
from ifa_jax.statistics.predictions import NONE

# Relations in a line; the JSON has all.
_MAX_NAMED = 5


def show(result: Mapping[str, Any]) -> None:
  """Prints the result of `compare.compare`; the first line is the protocol."""
  tables.show(_head(result), [*_tables(result)])


def markdown(result: Mapping[str, Any]) -> str:
  """Returns the result as Markdown; the first line is the protocol."""
  return tables.markdown(_head(result), [*_tables(result)])


def show_rows(rows: Sequence[Mapping[str, Any]], num_shown: int) -> None:
  """Prints the number of rows of `disagreement.rows`, and the first of them."""
  shown = rows[:num_shown]
  note = f"; the first {len(shown)} (* right):" if shown else ""
  print(f"\n{len(rows)} rows with differing predictions{note}")
  for row in shown:
    print(f"\n{row['id']}: {row['gold']}")
    for name, predictions in row["predictions"].items():
      texts = ", ".join(_prediction(x, row["gold"]) for x in predictions)
      print(f"  {name}: {texts}")
    # "Ann -> Acme: Ann joins Acme (a.jpg)", as far as it is known.
    text = str(row.get("text", ""))
    if "head" in row and "tail" in row:
      text = f"{row['head']} -> {row['tail']}: {text}"
    text += f" ({row['img_id']})" if "img_id" in row else ""
    if text:
      print(textwrap.indent(textwrap.fill(text, 78), "  "))


def _prediction(prediction: Mapping[str, Any], gold: str) -> str:
  """Returns "None 0.71", with a mark if it is right."""
  probability = prediction["probability"]
  shown = "" if probability is None else f" {probability:.2f}"
  return f"{prediction['pred']}{shown}{' *' * (prediction['pred'] == gold)}"


def _head(result: Mapping[str, Any]) -> list[str]:
  seeds = {x["name"]: len(x["paths"]) for x in result["systems"]}
  rows, protocol = f"{result['n']} rows", result["protocol"]
  lines = [*tables.describe(protocol, rows, result["bootstrap"], seeds)]
  for i, system in enumerate(result["systems"]):
    note = "" if i or not result["pairs"] else " (the reference)"
    lines.append(f"{system['name']}{note}: {', '.join(system['paths'])}")
    if counts := system["unknown"]:
      named = [f"{name} ({number})" for name, number in counts.items()]
      named[_MAX_NAMED:] = ["..."] * (len(named) > _MAX_NAMED)
      lines.append(
        f"{system['name']}: {sum(counts.values())} predictions of relations"
        f" that no row has, all wrong: {', '.join(named)}"
      )
  if result["pairs"]:
    lines.append(
      f"{tables.MARKED}; by relation, where the difference is not 0 at a false"
      f" discovery rate of {100 * tables.FALSE_DISCOVERIES:g} %"
      " (Benjamini-Hochberg)"
    )
  return [*lines, *map(_changes, result["pairs"])]


def _changes(pair: Mapping[str, Any]) -> str:
  """Returns how many relations a system wins and loses, naming those marked."""
  rows = [x for x in pair["f1_by_relation"].items() if x[0] != NONE]

  def side(word, sign):
    found = [(name, x) for name, x in rows if sign * x["difference"] > 0]
    marked = [name for name, x in found if tables.is_marked(x)]
    named = f" ({', '.join(marked)})" if marked else ""
    return f"{word} for {len(found)}, {len(marked)} of them marked{named}"

  return (
    f"{pair['second']} against {pair['first']}, F1 by relation:"
    f" {side('higher', 1)}; {side('lower', -1)}"
  )


def _tables(result: Mapping[str, Any]) -> Iterator[Table]:
  """Yields scores, guesses if any, differences, and two for each pair."""
  sections = [
    tables.named(
      [system["name"], system["protocol"]],
      [_score(name, score) for name, score in system["scores"].items()],
    )
    for system in result["systems"]
  ]
  columns = ("system", "protocol", "score", "percent", "seeds")
  yield Table("Scores", columns, sections)
  yield from tables.guesses(result)
  protocols = {x["name"]: x["protocol"] for x in result["systems"]}
  titles = {name: f"{name} ({text})" for name, text in protocols.items()}
  sections = [
    tables.named(
      [pair["second"], protocols[pair["second"]]],
      [
        [k.replace("f1", "F1"), tables.difference(x)]
        for k, x in pair["differences"].items()
      ],
    )
    for pair in result["pairs"]
  ]
  if sections:
    title = f"Differences from {titles[result['pairs'][0]['first']]}"
    yield Table(title, ("system", "protocol", "score", "points"), sections)
  for pair in result["pairs"]:
    first, second = titles[pair["first"]], titles[pair["second"]]
    yield _relations(pair, f"F1 by relation: A = {first}, B = {second}")
    yield _counts(pair, first, second)


def _score(name: str, score: Mapping[str, Any]) -> list[str]:
  seeds, deviation = str(len(score["seeds"])), score["deviation"]
  if deviation is not None:
    seeds += f", sd {tables.percent(deviation)}"
  value = f"{tables.percent(score['mean'])} {tables.interval(score)}"
  return [name.replace("f1", "F1"), value, seeds]


def _relations(pair: Mapping[str, Any], title: str) -> Table:
  found = dict(pair["f1_by_relation"])
  none = {"None": found.pop("None")} if "None" in found else {}
  none["None, accuracy"] = pair["none_accuracy"]

  def cells(name, x):
    scores = (tables.percent(x[key]) for key in ("first", "second"))
    return [name, str(x["support"]), *scores, tables.difference(x)]

  sections = [[cells(*item) for item in x.items()] for x in (found, none)]
  return Table(title, ("relation", "rows", "A", "B", "B - A"), sections)


def _counts(pair: Mapping[str, Any], first: str, second: str) -> Table:
  counts, p = pair["rows"], pair["mcnemar_p"]
  note = (
    "mean over pairs of seeds"
    if p is None
    else f"McNemar's exact test of equal accuracy, by posts: p = {p:.2g}"
  )
  lines = [
    [f"{first} right", counts["both_right"], counts["only_first_right"]],
    [f"{first} wrong", counts["only_second_right"], counts["both_wrong"]],
  ]
  cells = [[name, *(f"{n:.{p is None:d}f}" for n in ns)] for name, *ns in lines]
  columns = ("rows", f"{second} right", f"{second} wrong")
  return Table(f"Who is right ({note})", columns, [cells])
