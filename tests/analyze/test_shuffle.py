"""Table 1 of a run: its scores with other pictures and with none."""

import itertools
import json
import shutil

import numpy as np
import pytest
import tiny_run

from ifa_jax.analyze import tables
from ifa_jax.analyze.shuffle import command, conditions, summary
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Geometry
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training import evaluation, loop
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="finished")
def copy_of_the_finished_run(finished, tmp_path_factory):
  """The predictions of conditions are written into it."""
  workdir = tmp_path_factory.mktemp("finished") / "run"
  shutil.copytree(finished.workdir, workdir)
  return finished._replace(workdir=workdir)


@pytest.fixture(scope="module", name="text")
def run_of_a_text_model(data_dir, fast_compilation, tmp_path_factory):
  config = tiny_run.tiny_run_config(data_dir, model={"vision": None})
  built = tiny_run.build(config)
  workdir = tmp_path_factory.mktemp("text") / "run"
  loop.run(built, str(workdir))
  return tiny_run.Finished(built, workdir)


class Spy:
  """Keeps predictions, and the rows of their pictures."""

  def __init__(self, monkeypatch):
    self.visual_rows, self.probabilities = [], []
    predict = evaluation.Evaluator.predict

    def spying(evaluator, params, split, visual_rows=None, **options):
      found = predict(evaluator, params, split, visual_rows, **options)
      self.visual_rows.append(visual_rows)
      self.probabilities.append(found.probabilities)
      return found

    monkeypatch.setattr(evaluation.Evaluator, "predict", spying)


def table(run, num_seeds=3, **options):
  folder = RunFolder(run.workdir)
  return command.shuffle_table(
    run.experiment, folder, num_seeds=num_seeds, **options
  )


def own_scores(run):
  return json.loads((run.workdir / "eval_test.json").read_text())


@pytest.fixture(scope="module")
def made(finished, fast_compilation):
  """A table of three permutations, with its predictions."""
  with pytest.MonkeyPatch.context() as patched:
    spy = Spy(patched)
    spy.table = table(finished)
    return spy


def test_a_table_has_a_row_for_each_condition(finished, made):
  found = dict(made.table)
  rows = found.pop("rows")
  assert found == {
    "run": str(finished.workdir),
    "protocol": "clean",
    "split": "test",
    "n": 17,
    "posts": len({*pictures(finished.experiment.data.split("test"))}),
  }
  assert [(row["condition"], row["seeds"]) for row in rows] == [
    ("standard", []),
    ("shuffle(test)", [0, 1, 2]),
    ("blank", []),
  ]
  every = made.probabilities
  assert len(every) == 5
  for one, other in itertools.combinations(every, 2):
    assert np.abs(one - other).max() > 1e-3
  for name, found in rows[0]["scores"].items():
    assert found["by_seed"] == [pytest.approx(own_scores(finished)[name])]
  assert json.loads(json.dumps(rows)) == rows


def test_scores_are_means_over_seeds_inside_their_intervals(finished, made):
  standard, shuffled, blank = made.table["rows"]
  assert "minus_standard" not in standard
  split = finished.experiment.data.split("test")
  (batch,) = split.batches(sampling.evaluation_order(17, 17), Geometry(40))
  accuracy = [
    np.mean(found.argmax(axis=-1) == batch.label)
    for found in made.probabilities
  ]
  scores = [row["scores"]["accuracy"] for row in (standard, shuffled, blank)]
  np.testing.assert_allclose(scores[1]["by_seed"], accuracy[1:4])
  for score, want in zip(
    scores, (accuracy[0], np.mean(accuracy[1:4]), accuracy[4]), strict=True
  ):
    assert score["mean"] == pytest.approx(want)
    assert score["low"] < score["mean"] < score["high"]
  for row, score in zip((shuffled, blank), scores[1:], strict=True):
    apart = row["minus_standard"]["accuracy"]
    assert apart["mean"] == pytest.approx(score["mean"] - scores[0]["mean"])
    assert apart["low"] <= apart["mean"] <= apart["high"]


def test_kinds_of_shuffle_are_rows_of_one_table(finished, monkeypatch):
  spy = Spy(monkeypatch)
  kinds = [Shuffle(), Shuffle(keep="count"), Shuffle("image", "count")]
  # An earlier call had more permutations, and another kind.
  for name in ("shuffle_12", "shuffle_image_3"):
    (finished.workdir / f"predictions_test_{name}.jsonl").touch()
  rows = table(finished, num_seeds=1, shuffles=kinds)["rows"]
  files = finished.workdir.glob("predictions_test_shuffle_*.jsonl")
  assert {x.stem.removeprefix("predictions_test_") for x in files} == {
    *("shuffle_0", "shuffle_count_0", "shuffle_image_count_0"),
    "shuffle_image_3",
  }
  _, *owns = (row["own_pictures"] for row in rows[:4])
  names = pictures(finished.experiment.data.split("test"))
  wanted = [
    sampling.share_of_own(moved, names) for moved in spy.visual_rows[1:4]
  ]
  assert owns == wanted
  assert rows[0]["own_pictures"] is rows[-1]["own_pictures"] is None
  assert [row["condition"] for row in rows[1:4]] == [
    "shuffle(test)",
    "shuffle(test), count kept",
    "shuffle(test), by image, count kept",
  ]
  _, free, kept, *_ = spy.visual_rows
  split = finished.experiment.data.split("test")
  seen = [split.describe(row).num_squares for row in range(17)]
  assert [seen[row] for row in kept] == seen != [seen[row] for row in free]


def test_pictures_are_permuted_within_the_split(finished, made):
  shuffled = [rows for rows in made.visual_rows if rows is not None]
  assert len(shuffled) == 3
  for seed, rows in enumerate(shuffled):
    assert sorted(rows) == list(range(17))
    names = pictures(finished.experiment.data.split("test"))
    wanted = sampling.visual_shuffle(17, seed, own=names)
    np.testing.assert_array_equal(rows, wanted)
  assert len({tuple(rows) for rows in shuffled}) == 3


def test_a_text_model_predicts_the_same_in_bits(text, monkeypatch):
  spy = Spy(monkeypatch)
  kinds = [Shuffle(), Shuffle("image"), Shuffle(keep="count")]
  rows = table(text, shuffles=kinds)["rows"]
  assert len(spy.probabilities) == 11
  for found in spy.probabilities[1:]:
    assert found.tobytes() == spy.probabilities[0].tobytes()
  for row in rows[1:]:
    for name, apart in row["minus_standard"].items():
      # Sums over seeds round in float64.
      assert max(map(abs, apart.values())) < 1e-15, name


def test_other_runs_on_the_data_are_added(text, finished):
  rows = table(finished, num_seeds=1, others=[RunFolder(text.workdir)])["rows"]
  assert rows[-1]["condition"] == "text only, another run"
  for name, found in rows[-1]["scores"].items():
    assert found["mean"] == pytest.approx(own_scores(text)[name])
  other = conditions.read_run(
    RunFolder(finished.workdir), text.experiment, tiny_run.gold_labels(text)
  )
  assert other.name == "standard, another run"


def test_a_line_of_the_table():
  bounds = {"low": 0.28, "high": 0.315}
  scores = {"by_seed": [0.29, 0.30, 0.31], "mean": 0.3, **bounds}
  row = {
    "condition": "shuffle(test)",
    "scores": dict.fromkeys(("accuracy", "precision", "recall", "f1"), scores),
  }
  assert summary.cells(row, 0.002) == [
    "shuffle(test)",
    "0.20",
    *["30.00"] * 3,
    "30.00 ± 1.00",
    "[28.00, 31.50]",
    "",
  ]
  row["minus_standard"] = {"f1": {"mean": -0.5, "low": -0.6, "high": -0.4}}
  assert summary.cells(row, None)[-1] == "-50.00 [-60.00, -40.00]"
  row["minus_standard"] = {"f1": {"mean": -1e-17, "low": -1e-17, "high": 0.01}}
  assert summary.cells(row, None)[-1] == "+0.00 [0.00, 1.00]"
  assert tables.mean([0.81671]) == "81.67"
