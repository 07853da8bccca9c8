"""The output of the command `compare`."""

import json

import command_lines
import predicted
import pytest
import two_systems

from ifa_jax.analyze.compare import command as compare
from ifa_jax.analyze.compare import tables as compare_tables
from ifa_jax.cli import tables as report
from ifa_jax.statistics import systems

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="folder")
def folder_of_predictions(tmp_path_factory):
  folder = tmp_path_factory.mktemp("command")
  same = {"probability": 0.25, "text": "Ann joins Acme"}
  same |= {"head": "Ann", "tail": "Acme"}
  run = predicted.lines(two_systems.GOLD, two_systems.PREDS["a"][0], **same)
  run = [line | {"img_id": f"{i // 2}.jpg"} for i, line in enumerate(run)]
  predicted.write_run(folder / "run", run, protocol="released")
  two_systems.write(folder, "bag", two_systems.PREDS["b"])
  two_systems.write(folder, "outside", two_systems.PREDS["b"], protocol=None)
  predicted.write(folder / "bad.jsonl", [1])
  other = [x.replace("None", "NA") for x in two_systems.GOLD]
  odd = ["NA", "/odd", "/new", "/new", *other[4:]]
  two_systems.write(folder, "na", [odd], other)
  return folder


CASES = {
  "mixed": [
    "run",
    "bag=bag0.jsonl,bag1.jsonl",
    "outside0.jsonl",
    "--json=mixed.json",
    "--markdown=mixed.md",
    "--disagreements=new/deep/rows.jsonl",
    "--num_shown=2",
  ],
  "same": [
    "bag0.jsonl",
    "bag1.jsonl",
    "--json=same.json",
    "--markdown=same.md",
    "--bootstrap_seed=3",
    "--num_shown=0",
  ],
  "one": ["run"],
  "no None": ["na0.jsonl", "--json=no_none.json"],
  "None is NA": ["na0.jsonl", "outside0.jsonl", "--none=none,na"],
  "none": [],
  "help": ["--helpfull"],
  "unknown flag": ["run", "--sliptt=dev"],
  "unknown split": ["run", "--split=train"],
  "nothing there": ["nowhere"],
  "bad line": ["bad.jsonl"],
  "other split": ["run", "--split=dev"],
  "no folder": ["run", "--json=bag0.jsonl/a.json"],
}


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(folder):
  command = ["ifa_jax/analyze/__main__.py", "compare"]
  lines = {name: command + case for name, case in CASES.items()}
  return command_lines.run_all(
    lines, folder, ["ifa_jax.analyze.compare.command"]
  )


def test_protocols_that_differ_are_in_every_first_line(outcomes, folder):
  status, out, err = outcomes["mixed"]
  assert (status, err) == (0, "")
  wanted = "protocols differ: run released, bag clean, outside0 unknown"
  assert out.splitlines()[0] == wanted
  assert (folder / "mixed.md").read_text().splitlines()[0] == wanted
  text = (folder / "mixed.json").read_text()
  assert text.splitlines()[0] == f'{{"protocol": "{wanted}",'
  protocols = [x["protocol"] for x in json.loads(text)["systems"]]
  assert protocols == ["released", "clean", "unknown"]


def test_the_same_protocol_is_in_every_first_line(outcomes, folder):
  assert outcomes["same"].out.splitlines()[0] == "protocol: clean"
  text = (folder / "same.md").read_text()
  assert text.splitlines()[0] == "protocol: clean"
  text = (folder / "same.json").read_text()
  assert text.splitlines()[0] == '{"protocol": "clean",'


def test_the_json_is_the_result_of_compare(outcomes, folder, monkeypatch):
  monkeypatch.chdir(folder)
  read = systems.read(["bag0.jsonl", "bag1.jsonl"])
  wanted = compare.compare(read, bootstrap_seed=3)
  assert json.loads((folder / "same.json").read_text()) == wanted


def test_tables_and_json_agree(outcomes, folder):
  found = json.loads((folder / "mixed.json").read_text())
  f1 = found["systems"][1]["scores"]["f1"]
  percent = lambda x: f"{100 * x:.2f}"  # noqa: E731
  cells = [
    "F1",
    f"{percent(f1['mean'])} [{percent(f1['low'])}, {percent(f1['high'])}]",
    f"2, sd {percent(f1['deviation'])}",
  ]
  printed = [
    [cell.strip() for cell in line.split("│")[3:-1]]
    for line in outcomes["mixed"].out.splitlines()
  ]
  assert cells in printed
  text = (folder / "mixed.md").read_text()
  assert f"|  |  | {' | '.join(cells)} |" in text
  for pair in found["pairs"]:
    difference = pair["differences"]["accuracy"]
    name = pair["second"]
    assert f"| {name} | {'clean' if name == 'bag' else 'unknown'} |" in text
    assert f"* +{percent(difference['difference'])} [" in text
  assert "run (the reference): run/predictions_test.jsonl" in text
  assert "McNemar's exact test of equal accuracy, by posts: p = " in text
  assert "Who is right (mean over pairs of seeds)" in text


def test_relations_that_gain_and_lose_are_counted():
  changes = {"a": (0.2, 0.01), "b": (-0.1, 0.04), "c": (-0.3, 0.2), "d": (0, 1)}
  changes["None"] = (0.3, 0.01)
  pair = {
    "first": "text",
    "second": "objects",
    "f1_by_relation": {
      name: {"difference": difference, "adjusted_p": p}
      for name, (difference, p) in changes.items()
    },
  }
  assert compare_tables._changes(pair) == (
    "objects against text, F1 by relation: higher for 1, 1 of them marked (a);"
    " lower for 2, 1 of them marked (b)"
  )


def test_rows_of_disagreement_are_written_and_the_first_shown(outcomes, folder):
  lines = (folder / "new/deep/rows.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  preds = [two_systems.PREDS["a"][0], *two_systems.PREDS["b"]]
  differing = [
    f"test/{i}"
    for i, said in enumerate(zip(*preds, strict=True))
    if len({*said}) > 1
  ]
  assert [row["id"] for row in rows] == differing
  out = outcomes["mixed"].out
  assert f"{len(rows)} rows with differing predictions; the first 2" in out
  first = out[out.index(f"\n{differing[0]}: ") :]
  said = rows[0]["predictions"]["run"][0]["pred"]
  assert f"\n  run: {said} 0.25" in first
  assert "\n  Ann -> Acme: Ann joins Acme (0.jpg)\n" in first
  assert f"\n{differing[1]}: " in first
  assert f"\n{differing[2]}: " not in first
  assert "test/" not in outcomes["same"].out


def test_one_system_has_scores_and_no_differences(outcomes):
  status, out, _ = outcomes["one"]
  assert status == 0
  assert out.startswith("protocol: released\n120 rows")
  assert "Scores" in out
  assert "Differences" not in out
  assert "differing" not in out


@pytest.mark.parametrize(
  ("case", "status", "named"),
  [
    ("none", 2, "expected [name=]PATH[,PATH...] of a system"),
    ("unknown flag", 2, "sliptt"),
    ("unknown split", 2, "--split=train"),
    ("nothing there", 1, "nowhere: expected a run's directory"),
    ("bad line", 1, "bad.jsonl, line 1: expected a JSON object, got int"),
    ("other split", 1, "run: expected eval_dev.json"),
    ("no folder", 1, "bag0.jsonl"),
  ],
)
def test_a_mistake_gets_one_line(outcomes, case, status, named):
  found = outcomes[case]
  assert (found.status, found.out) == (status, "")
  (line,) = found.err.splitlines()
  assert line.startswith("error: ")
  assert named in line


def test_help_names_every_flag(outcomes):
  status, out, _ = outcomes["help"]
  assert status == 0
  for flag in ("split", "json", "markdown", "disagreements", "num_shown"):
    assert f"  --{flag}: " in out


def test_mnres_longest_relation_fits_into_80_columns(
  tmp_path, capsys, monkeypatch
):
  name = "/per/loc/place_of_residence"
  gold = [name, "None"] * 30
  # Right in half of its rows, and in all but five.
  first = [name, "None", "None", "None"] * 15
  second = ["None", "None"] * 5 + [name, "None"] * 25
  found = two_systems.compared(tmp_path, gold, first, second)
  console = report.Console(width=80)
  monkeypatch.setattr(report, "Console", lambda **_: console)
  compare_tables.show(found)
  lines = capsys.readouterr().out.splitlines()
  (line,) = [line for line in lines if f"│ {name}" in line]
  assert len(line) <= 80
  interval = found["pairs"][0]["f1_by_relation"][name]
  assert line.rstrip("│ ").endswith(f", {report.percent(interval['high'])}]")


@pytest.mark.silent_input
def test_rows_that_all_count_as_relations_are_reported(outcomes):
  status, out, err = outcomes["no None"]
  assert status == 0
  assert err.splitlines() == [
    "na0.jsonl: no row is None, so every row counts as a"
    " relation; --none=NAME names the negative class"
  ]
  assert "na0: 3 predictions of relations that no row has" in out


@pytest.mark.silent_input
def test_a_flag_names_the_negative_class(outcomes, folder):
  status, out, err = outcomes["None is NA"]
  assert (status, err) == (0, "")
  assert "no row has, all wrong: /new (2), /odd (1)" in out
  read = systems.read([str(folder / "na0.jsonl")], none=["NA"])
  gold = [line["gold"] for line in read[0].seeds[0].lines.values()]
  assert gold == two_systems.GOLD


@pytest.mark.silent_input
def test_the_head_describes_the_resamples(outcomes):
  lines = outcomes["mixed"].out.splitlines()
  assert lines[1] == (
    "120 rows of 60 posts (img_id), 95 % intervals of 9999 bootstrap resamples"
    " of posts and seeds (seed 0)"
  )
  assert lines[2].startswith("one seed of run, outside0: intervals hold given")
  assert "of 120 posts (img_id)" in outcomes["same"].out
  assert "1 in 20" not in outcomes["mixed"].out
