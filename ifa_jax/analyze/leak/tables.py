"""The tables of the leak audit, for the terminal."""

from collections.abc import Mapping
from typing import Any

from ifa_jax.analyze.leak import counts
from ifa_jax.cli import tables


def show(found: Mapping[str, Any]) -> None:
  """Prints what `leak.measure` found, but for the last line."""
  print(f"Leak audit of {found['data_dir']}\n{found['source']}")
  _show_rows(found)
  if not found["counts"]:
    print("No row has a crop, a picture or a query.")
  for name, counted in found["counts"].items():
    _show_count(name, counted)
  if found["queries"]:
    _show_queries(found["queries"])
  _show_verdicts(found)


def _show_rows(found: Mapping[str, Any]) -> None:
  """Prints rows by class, and those that have a crop twice."""
  lines = {"all": found["rows"]} | {
    f"with a {kind} crop twice": rows
    for kind, rows in found["duplicates"].items()
  }
  cells = [
    [name, split, *map(str, rows[split].values())]
    for name, rows in lines.items()
    for split in rows
  ]
  columns = ("rows", "split", "None rows", "rows with a relation")
  tables.print_table(tables.make_table("Rows by class", columns, cells))


def _show_count(name: str, counted: Mapping[str, Any]) -> None:
  """Prints how often each number occurs, and what it tells."""
  rule = counted["threshold"]
  columns = ("split", "None rows", "rows with a relation", "precision")
  columns += ("recall", "accuracy", "majority")
  cells = []
  for split, table in counted["table"].items():
    found = counted["finding"].get(split)
    pair = [f"{found[k]:.3f}" for k in ("precision", "recall")] if found else []
    accuracy = [tables.percent(x) for x in counted["accuracy"][split].values()]
    numbers = [_numbers(table[kind]) for kind in ("none", "relation")]
    cells.append([split, *numbers, *(pair or ["-", "-"]), *accuracy])
  title = (
    f"Rows by {name} (number: rows)\naccuracy of each number's commoner class"
    " on train"
  )
  if rule:
    title += f', precision and recall of "{rule}", the best threshold there'
  tables.print_table(tables.make_table(title, columns, cells))


def _numbers(rows: Mapping[int, int]) -> str:
  """Returns "1: 2, 2: 7742"."""
  return ", ".join(f"{number}: {rows[number]}" for number in rows)


def _show_queries(queries: Mapping[str, Any]) -> None:
  title = (
    "Queries that end in just the gold relation's types\nNone rows: in no type"
  )
  columns = (
    "split",
    "None rows",
    "rows with a relation",
    "of these with types",
  )
  cells = [
    [
      split,
      *(
        f"{counts[f'{kind}_equal']} of {counts[f'{kind}_rows']}"
        for kind in ("none", "relation", "typed")
      ),
    ]
    for split, counts in queries.items()
    if split != "judged"
  ]
  tables.print_table(tables.make_table(title, columns, cells))


def _show_verdicts(found: Mapping[str, Any]) -> None:
  """Prints the tests on val and test."""
  title = (
    "What a number alone tells of finding (relation or None) and naming (which)"
    "\nlearnt on train, tried on val and test; tolerated:"
    f" {100 * found['tolerance']:g} % of the bits, p <= {found['level']:.1g}"
  )
  columns = ("number", "of", "rows", "posts", "bits", "told %", "at most %")
  columns += ("p", "verdict")
  cells = []
  for name, counted in found["counts"].items():
    for question in counts.QUESTIONS:
      if test := counted["held_out"][question]:
        shares = [tables.percent(test[key]) for key in ("share", "high")]
        cells.append(
          [
            name,
            question,
            *(str(test[key]) for key in ("rows", "posts")),
            f"{test['open']:.2f}",
            *shares,
            f"{test['p_value']:.1g}",
            test["verdict"],
          ]
        )
  if cells:
    tables.print_table(tables.make_table(title, columns, cells))
