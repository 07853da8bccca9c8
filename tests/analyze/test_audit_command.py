"""The command `audit`: tables, JSON and usage."""

import json

import command_lines
import pytest

from ifa_jax.analyze import published
from ifa_jax.analyze.audit import whole_numbers

pytestmark = pytest.mark.slow

BEST = "--accuracy=92.38 --precision=82.59 --recall=80.78"
CASES = {
  "all": "",
  "all json": "--json",
  "one": f"{BEST} --f1=81.67",
  "one json": f"{BEST} --json",
  "no accuracy": "--precision=82.67 --recall=81.25 --f1=81.95",
  "none": f"{BEST} --num_rows=1624 --num_relations=624",
  "many": "--accuracy=75.34 --precision=63.28 --recall=65.16"
  " --num_rows=100000 --num_relations=40000",
  "part": "--accuracy=92.38",
  "no recall": "--accuracy=92.38 --precision=82.59 --f1=81.67",
  "f1 alone": "--f1=81.67",
  "decimals": f"{BEST} --f1=81.671",
  "counts": f"{BEST} --num_rows=100",
}


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases():
  command = ["ifa_jax/analyze/__main__.py", "audit"]
  return command_lines.run_all(
    {name: command + line.split() for name, line in CASES.items()}
  )


def test_the_command_prints_both_tables(outcomes):
  status, out, err = outcomes["all"]
  assert (status, err) == (0, "")
  assert "Table 1" in out
  assert "425 / 608" in out
  assert "half a unit of the last" in out
  cells = [
    [cell.strip() for cell in line.split("│")]
    for line in out.splitlines()
    if "w/ Visual Objects" in line
  ]
  figures = ["92.38", "82.59", "80.78", "81.67"]
  assert cells[0][3:9] == [*figures, "517 / 626", "974"]
  assert (
    "Reported by MEGA (ACM MM 2021): MEGA, standard; BERT+SG+Att.; MEGA." in out
  )


def test_the_command_prints_only_json(outcomes):
  status, out, err = outcomes["all json"]
  assert (status, err) == (0, "")
  rows = json.loads(out)["rows"]
  assert json.loads(out)["protocol"] == "released"
  assert len(rows) == len(published.ROWS) + 5
  (best,) = [r for r in rows if r["name"] == "w/ Visual Objects"]
  solution = {"right": 517, "predicted": 626, "none_right": 974}
  assert best["solutions"] == [solution]
  assert best["table"] == "Table 2"
  sources = {row["name"]: row["reported_by"] for row in rows}
  assert sources["w/ Visual Objects"] == published.PAPER
  assert sources["BERT+SG+Att."] == sources["MEGA, standard"]
  assert sources["BERT+SG+Att."].startswith("MEGA ")
  assert sources["MEGA, shuffle(test)"] == published.PAPER
  assert sources["HVPNeT"] == "HVPNeT (arXiv:2205.03521)"
  one = json.loads(outcomes["one json"].out)
  assert (one["solutions"], one["f1"]) == ([solution], None)


def test_the_command_lists_solutions_if_there_are_any(outcomes):
  assert "right 517, predicted 626, None right 974 of 974" in (
    outcomes["one"].out
  )
  unknown = outcomes["no accuracy"].out
  assert "consistent, 110 ways" in unknown
  assert "right 520, predicted 629, None right 865 of 974" in unknown
  none = outcomes["none"]
  assert (none.status, none.err) == (0, "")
  assert "right 5" not in none.out
  many = outcomes["many"].out.splitlines()
  listed = sum(line.startswith("right ") for line in many)
  assert listed == whole_numbers.MAX_LISTED
  assert many[-2].startswith("... and ")


@pytest.mark.parametrize(
  ("case", "named"),
  [
    ("part", "expected --precision and --recall, or no figure"),
    ("no recall", "expected --precision and --recall, or no figure"),
    ("f1 alone", "expected --precision and --recall, or no figure"),
    ("decimals", "two decimals"),
    ("counts", "no more rows with a relation than rows"),
  ],
)
def test_wrong_usage_exits_2_with_one_line(outcomes, case, named):
  status, out, err = outcomes[case]
  assert (status, out) == (2, "")
  (line,) = err.splitlines()
  assert named in line
