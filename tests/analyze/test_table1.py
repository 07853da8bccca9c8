"""Table 1: rows of a config file under visual shuffles, over seeds."""

import json
import pathlib
import shutil

import pytest
import tiny_run
import tiny_table

from ifa_jax.analyze.compare import command as compare
from ifa_jax.analyze.rows import configs, runs
from ifa_jax.analyze.table1 import command as table1
from ifa_jax.analyze.table1 import tables
from ifa_jax.statistics import systems
from ifa_jax.training.config.run_config import RunConfig

pytestmark = pytest.mark.usefixtures("fast_compilation")

CONDITIONS = ["standard", "shuffle(train)", "shuffle(test)", "blank"]


@pytest.fixture(scope="module", name="rows")
def rows_with_pictures_and_without(data_dir, table_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp("table1") / "table"
  # The runs of Table 2 are those of Table 1.
  shutil.copytree(table_dir / "vanilla", folder / "vanilla")
  rows = tiny_table.plan(data_dir, folder, ("vanilla",))
  text = tiny_run.tiny_run_config(data_dir, model={"vision": None})
  rows.append(runs.plan("text", RunConfig.from_dict(text), [1], str(folder)))
  runs.train_all(rows[1:])
  return rows


@pytest.fixture(scope="module", name="table")
def table_of_the_rows(rows, fast_compilation):
  return table1.table1(rows, permutations=2)


def test_a_row_has_all_conditions_unless_it_reads_no_picture(table):
  vanilla, text = table["rows"]
  names = [row["condition"] for row in vanilla["conditions"]]
  assert names == CONDITIONS
  assert [row["condition"] for row in text["conditions"]] == ["standard"]
  assert (vanilla["seeds"], text["seeds"]) == ([1, 49], [1])
  assert (table["n"], table["split"]) == (17, "test")
  assert json.loads(json.dumps(table)) == table


def test_scores_are_those_of_the_runs_and_of_compare(table, rows):
  (vanilla, _) = table["rows"]
  scores = {row["condition"]: row["scores"] for row in vanilla["conditions"]}
  for i, folder in enumerate(rows[0].folders.values()):
    for name, inner in (
      ("standard", ""),
      ("shuffle(train)", "shuffle_train_0"),
    ):
      path = pathlib.Path(folder.path) / inner / "eval_test.json"
      wanted = json.loads(path.read_text())["f1"]
      assert scores[name]["f1"]["by_seed"][i] == pytest.approx(wanted)
  files = {
    "blank": ["predictions_test_blank.jsonl"],
    "shuffle(test)": [f"predictions_test_shuffle_{i}.jsonl" for i in range(2)],
  }
  for name, written in files.items():
    paths = [x.file(file) for x in rows[0].folders.values() for file in written]
    (system,) = compare.compare(systems.read([f"x={','.join(paths)}"]))[
      "systems"
    ]
    found = scores[name]["f1"]["mean"]
    assert system["scores"]["f1"]["mean"] == pytest.approx(found)


def test_the_table_has_the_papers_scores_where_it_prints_some(table):
  text = tables.markdown(table)
  assert text.startswith("protocol: clean\n")
  assert "17 test rows" in text
  assert "these are other rows than the paper's" in text
  assert "| vanilla, 2 seeds |" in text
  assert "| text, 1 seed |" in text
  assert "paper" not in text.split("Table 1")[-1]
  (vanilla, _) = table["rows"]
  named = table | {"rows": [vanilla | {"variant": "objects"}]}
  lines = tables.markdown(named).splitlines()
  printed = [line for line in lines if "| paper |" in line]
  assert [line.split("|")[6].strip() for line in printed] == [
    "81.67",
    "64.21",
    "29.52",
  ]


def test_rows_on_other_test_data_are_refused(rows, monkeypatch):
  score = table1._score

  def other(row, *arguments):
    found = score(row, *arguments)
    return found._replace(gold=found.gold[::-1]) if row is rows[1] else found

  monkeypatch.setattr(table1, "_score", other)
  with pytest.raises(ValueError, match="text: expected the test rows of van"):
    table1.table1(rows, permutations=2)


def test_rows_are_those_of_the_paper_unless_they_are_chosen():
  module = configs.load(tiny_table.CONFIG)
  assert configs.choose(module, [], "Table 1") == ["mtb", "mega", "objects"]
