"""Table 2: variants of a config file, trained alike, next to the paper."""

import json
import os
import shutil
import statistics

import pytest
import tiny_run
import tiny_table
import whole_run

from ifa_jax.analyze.compare import command as compare
from ifa_jax.analyze.rows import runs
from ifa_jax.analyze.table2 import command as table2
from ifa_jax.analyze.table2 import tables
from ifa_jax.statistics import bootstrap, systems
from ifa_jax.training import loop
from ifa_jax.training.config.run_config import RunConfig

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="rows")
def rows_of_the_table(data_dir, table_dir):
  return tiny_table.plan(data_dir, table_dir)


@pytest.fixture(name="copied")
def copy_of_the_table(data_dir, table_dir, tmp_path):
  """Its folder and its rows, free to be changed."""
  folder = tmp_path / "table2"
  shutil.copytree(table_dir, folder)
  return folder, tiny_table.plan(data_dir, folder)


def eval_of(table_dir, variant, seed):
  path = table_dir / variant / f"seed_{seed}" / "eval_test.json"
  return json.loads(path.read_text())


def test_each_run_is_the_one_that_launch_makes(data_dir, table_dir, tmp_path):
  # A run that was never stopped, in the folder that was stopped half-way.
  config = tiny_run.tiny_run_config(
    data_dir, seed=1, model={"use_objects": False}
  )
  built = tiny_run.build(config)
  loop.run(built, tmp_path / "run")
  ours = table_dir / "vanilla" / "seed_1"
  assert whole_run.outcome(ours) == whole_run.outcome(tmp_path / "run")
  theirs = json.loads((tmp_path / "run" / "config.json").read_text())
  assert json.loads((ours / "config.json").read_text()) == theirs


def test_scores_are_the_means_of_the_runs_own(rows, table_dir):
  found = table2.table2(rows)
  assert (found["protocol"], found["n"], found["split"]) == (
    "clean",
    17,
    "test",
  )
  assert found["num_relations"] == eval_of(table_dir, "objects", 1)[
    "finding"
  ].get("support", found["num_relations"])
  for row in found["rows"]:
    evals = [
      eval_of(table_dir, row["variant"], seed) for seed in tiny_table.SEEDS
    ]
    for name in bootstrap.SCORES:
      score, wanted = row["scores"][name], [x[name] for x in evals]
      assert score["seeds"] == pytest.approx(wanted)
      assert score["mean"] == pytest.approx(statistics.fmean(wanted))
      assert score["deviation"] == pytest.approx(statistics.stdev(wanted))
    assert [run["step"] for run in row["runs"]] == [x["step"] for x in evals]
    assert [run["seed"] for run in row["runs"]] == [*tiny_table.SEEDS]
    assert (row["epochs"], row["updates"]) == (2, 8)
    assert row["visual_source"] == "pixels"
  assert json.loads(json.dumps(found)) == found


def test_intervals_are_those_of_compare(rows, table_dir):
  words = [
    f"{name}={table_dir}/{name}/seed_1,{table_dir}/{name}/seed_49"
    for name in reversed(tiny_table.VARIANTS)
  ]
  wanted = compare.compare(systems.read(words))
  found = table2.table2(rows, "vanilla")
  assert [row["variant"] for row in found["rows"]] == [*tiny_table.VARIANTS]
  scores = {x["name"]: x["scores"] for x in wanted["systems"]}
  assert {x["variant"]: x["scores"] for x in found["rows"]} == scores
  (pair,) = wanted["pairs"]
  objects, vanilla = (row["differences"] for row in found["rows"])
  assert objects == pair["differences"]
  assert vanilla is None
  assert [row["differences"] for row in table2.table2(rows)["rows"]] == [
    None,
    None,
  ]


def test_a_table_names_both_protocols_where_they_differ(copied):
  folder, rows = copied
  for name in ("eval_test.json", "predictions_test.jsonl"):
    for path in (folder / "vanilla").rglob(name):
      path.write_text(path.read_text().replace('"clean"', '"released"'))
  wanted = "protocols differ: objects clean, vanilla released"
  found = table2.table2(rows)
  assert found["protocol"] == wanted
  assert tables.markdown(found).splitlines()[0] == wanted


def test_runs_of_other_gold_relations_are_refused(copied):
  folder, rows = copied
  (path,) = folder.glob("vanilla/seed_49/predictions_test.jsonl")
  lines = tiny_run.read_lines(path)
  wrong = next(x for x in lines if x["gold"] != x["pred"])
  wrong["gold"] = next(
    x for x in wrong["probabilities"] if x not in (wrong["gold"], wrong["pred"])
  )
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  with pytest.raises(ValueError, match=r"seed_49.*expected the gold relations"):
    table2.table2(rows)


def test_a_table_of_runs_that_are_not_finished_is_refused(copied):
  folder, rows = copied
  os.remove(folder / "objects" / "seed_49" / "eval_test.json")
  with pytest.raises(
    ValueError, match=r"seed_49: expected .*no test predictions"
  ):
    table2.table2(rows)


def test_scores_name_the_source_of_regions(copied):
  folder, rows = copied
  for seed in tiny_table.SEEDS:
    scores = eval_of(folder, "objects", seed) | {"visual_source": "scenes"}
    path = folder / "objects" / f"seed_{seed}" / "eval_test.json"
    path.write_text(json.dumps(scores))
  sources = [row["visual_source"] for row in table2.table2(rows)["rows"]]
  assert sources == ["scenes", "pixels"]


@pytest.mark.parametrize(
  ("missing_pixels", "counts", "shown"),
  [
    ("error", (17, 0, 30, 0), "pixels"),
    ("grey", (17, 0, 10, 20), "pixels, 43 % grey"),
    ("absent", (17, 0, 10, 20), "pixels, 43 % absent"),
    ("grey", (0, 17, 0, 30), "grey"),
    ("absent", (0, 17, 0, 30), "nothing"),
    ("grey", (0, 0, 0, 0), "nothing"),
  ],
)
def test_pictures_without_a_file_are_reported(
  build, missing_pixels, counts, shown
):
  prepared = build().prepared
  names = ("pictures", "missing_pictures", "grounded", "missing_grounded")
  test = dict(zip(names, counts, strict=True)) | {"detected": 9}
  metadata = prepared.metadata | {
    "missing_pixels": missing_pixels,
    "counts": {"test": test},
  }
  prepared = prepared._replace(metadata=metadata)
  assert runs._pixels(prepared, ["image", "grounded"]) == shown


def test_a_model_without_pictures_sees_none(data_dir, tmp_path):
  config = tiny_run.tiny_run_config(
    data_dir, model={"vision": None}, train={"max_steps": 6}
  )
  config = RunConfig.from_dict(config)
  row = runs.plan("text", config, [1], str(tmp_path / "new"))
  assert row.visual_source == "-"
  assert (row.epochs, row.updates) == (1.5, 6)
  assert not (tmp_path / "new").exists()


def test_a_folder_of_another_run_is_refused_before_any_trains(
  data_dir, copied, monkeypatch
):
  monkeypatch.setattr(loop, "run", pytest.fail)
  folder, _ = copied
  match = (
    r"vanilla/seed_1: holds another run: train\.total_epochs: expected 2 as"
  )
  with pytest.raises(ValueError, match=match):
    tiny_table.plan(data_dir, folder, ["vanilla"], train={"total_epochs": 3})
  shutil.rmtree(folder / "vanilla" / "seed_49" / "checkpoints")
  os.remove(folder / "vanilla" / "seed_49" / "config.json")
  with pytest.raises(ValueError, match="seed_49: expected a new folder"):
    tiny_table.plan(data_dir, folder, ["vanilla"])


def test_notes_name_the_leak_of_published_figures(rows):
  text = tables.markdown(table2.table2(rows))
  assert "other rows than the paper's: 17 with" in text
  assert "figures of w/ Visual Objects depend" in text
  assert "Later systems" not in text
  assert "excludes 0" not in text
  text = tables.markdown(table2.table2(rows[1:]))
  assert "label leak" not in text
  whole = table2.table2(rows) | {"n": 1614, "num_relations": 640}
  assert "other rows" not in tables.markdown(whole)


def test_later_systems_are_a_table_of_their_own(rows):
  names = ("hvformer", "vanilla")
  table = table2.table2(
    [row._replace(variant=name) for row, name in zip(rows, names, strict=True)]
  )
  published = table["rows"][0]["published"]
  assert published["accuracy"] is None
  assert published["reported_by"] == "HVFormer (AAAI 2024)"
  text = tables.markdown(table)
  assert "figures of HVFormer depend on crops that leak the label" in text
  first, later = text.split("\nLater systems\n")
  assert "| vanilla |" in first
  assert "hvformer" not in first
  assert "|  | paper | released | - | 84.14 | 82.65 | 83.39 |" in later
  assert "| hvformer | HVFormer (Later systems) | pixels |" in later


def test_a_row_that_the_paper_lacks_has_no_published_figures(rows):
  table = table2.table2([rows[0]._replace(variant="text")])
  assert table["rows"][0]["published"] is None
  text = tables.markdown(table)
  assert "paper |" not in text
  assert "| text |  | pixels | 1, 49 | 2 | 8 |" in text
