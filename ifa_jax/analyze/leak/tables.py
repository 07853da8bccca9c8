"""Tables of the leak audit, for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.analyze.leak import counts, sources
from ifa_jax.cli import tables

_CLASSES = ("None rows", "rows with a relation")


def show(found: Mapping[str, Any]) -> None:
  """Prints the result of `measure`, without the summary."""
  print(f"Leak audit of {found['data_dir']}\n{found['source']}")
  _show_rows(found)
  if not found["counts"]:
    print("No row has a crop, a picture or a query.")
  for name, counted in found["counts"].items():
    _show_count(name, counted)
  if found["queries"]:
    _show_queries(found["queries"])
  if found["counts_only"]:
    _show_guesses(found["counts_only"])
  if found["counts"]:
    _show_tests(found)


def _print(
  title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> None:
  tables.print_table(tables.make_table(title, columns, cells))


def _show_rows(found: Mapping[str, Any]) -> None:
  lines = {"all": found["rows"]} | {
    f"with a {kind} crop twice": rows
    for kind, rows in found["duplicates"].items()
  }
  cells = [
    [name, split, *map(str, rows[split].values())]
    for name, rows in lines.items()
    for split in rows
  ]
  _print("Rows by class", ("rows", "split", *_CLASSES), cells)


def _show_count(name: str, counted: Mapping[str, Any]) -> None:
  """Prints the rows with each number, and how well it predicts the class."""
  cells = []
  for split, table in counted["table"].items():
    found = counted["finding"].get(split)
    pair = [
      f"{found[k]:.3f}" if found else "-" for k in ("precision", "recall")
    ]
    accuracy = [tables.percent(x) for x in counted["accuracy"][split].values()]
    numbers = [
      ", ".join(f"{number:.10g}: {rows}" for number, rows in listed.items())
      for listed in table.values()
    ]
    cells.append([split, *numbers, *pair, *accuracy])
  of_posts = ", one of each post" * name.endswith(sources.OF_POSTS)
  title = (
    f"Rows by {name} (number: rows{of_posts})\naccuracy of each number's"
    " majority class on train"
  )
  if rule := counted["threshold"]:
    title += f', precision and recall of "{rule}", the best threshold there'
  columns = ("split", *_CLASSES, "precision", "recall", "accuracy", "majority")
  _print(title, columns, cells)


def _show_queries(queries: Mapping[str, Any]) -> None:
  title = (
    "Queries that end in exactly the types of the gold relation\nNone rows: in"
    " no type"
  )
  cells = []
  for split, found in queries.items():
    if split != "judged":
      kinds = ("none", "relation", "typed")
      pairs = ((found[f"{k}_equal"], found[f"{k}_rows"]) for k in kinds)
      cells.append([split, *(f"{equal} of {rows}" for equal, rows in pairs)])
  _print(title, ("split", *_CLASSES, "of these with types"), cells)


def _show_guesses(scores: Mapping[str, Any]) -> None:
  columns = ("by", "in", "accuracy", "precision", "recall", "F1")
  keys = ("accuracy", "precision", "recall", "f1")
  cells = [
    [name, split, *(tables.percent(guessed[key]) for key in keys)]
    for split, found in scores.items()
    for name, guessed in found.items()
  ]
  title = (
    "Relations guessed without text and picture\ncounts only: train's majority"
    " of posts with as many entities and objects"
  )
  _print(title, columns, cells)


def _show_tests(found: Mapping[str, Any]) -> None:
  level = found["level"]
  title = (
    "Information of a number about finding (relation or None) and naming (which"
    " one)\nlearned on train and tested on val and test, or cross-validated"
    f" within a split (shown if p <= {level:.1g})\ntolerated:"
    f" {100 * found['tolerance']:g} % of the bits; a leak has p <= {level:.1g}"
  )
  columns = ("number", "of", "in", "rows", "posts", "bits", "share %")
  columns += ("at most %", "p", "verdict")
  cells = [
    [
      name,
      question,
      place,
      *(str(test[key]) for key in ("rows", "posts")),
      f"{test['open']:.2f}",
      *(tables.percent(test[key]) for key in ("share", "high")),
      f"{test['p_value']:.1g}",
      test["verdict"],
    ]
    for name, counted in found["counts"].items()
    for place, question, test in counts.tests_of(counted)
    if place == "val, test" or test["p_value"] <= level
  ]
  _print(title, columns, cells)
