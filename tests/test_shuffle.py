"""Table 1 of a run: what other pictures and none at all do to its scores."""

import itertools
import json
import shutil

import numpy as np
import pytest
import tiny_run

from ifa_jax import evaluate, experiment, train
from ifa_jax.analyze import shuffle
from ifa_jax.data import order
from ifa_jax.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="text")
def run_of_a_text_model(data_dir, fast_compilation, tmp_path_factory):
  config = tiny_run.tiny_run_config(data_dir, model={"vision": None})
  built = experiment.build(config)
  workdir = tmp_path_factory.mktemp("text") / "run"
  train.run(built, str(workdir))
  return tiny_run.Finished(built, workdir)


class Spy:
  """Keeps what is predicted, and with whose pictures."""

  def __init__(self, monkeypatch):
    self.visual_rows, self.probabilities = [], []
    predict = evaluate.Evaluator.predict

    def spying(evaluator, params, split, visual_rows=None, **options):
      found = predict(evaluator, params, split, visual_rows, **options)
      self.visual_rows.append(visual_rows)
      self.probabilities.append(found.probabilities)
      return found

    monkeypatch.setattr(evaluate.Evaluator, "predict", spying)


def table(run, num_seeds=3):
  return shuffle.shuffle_table(
    run.experiment, RunFolder(run.workdir), num_seeds
  )


def test_a_table_has_a_row_for_each_condition(finished, monkeypatch):
  spy = Spy(monkeypatch)
  rows = table(finished)
  assert [(row["condition"], row["seeds"]) for row in rows] == [
    ("standard", []),
    ("shuffle(test)", [0, 1, 2]),
    ("blank", []),
  ]
  assert [[len(x) for x in row["scores"]] for row in rows] == [
    [1] * 4,
    [3] * 4,
    [1] * 4,
  ]
  scores = json.loads((finished.workdir / "eval_test.json").read_text())
  assert rows[0]["scores"] == [[scores[name]] for name in shuffle.SCORES]
  every = spy.probabilities
  assert len(every) == 5
  for one, other in itertools.combinations(every, 2):
    assert np.abs(one - other).max() > 1e-3
  assert json.loads(json.dumps(rows)) == rows


def test_pictures_are_permuted_within_the_split(finished, monkeypatch):
  spy = Spy(monkeypatch)
  table(finished)
  shuffled = [rows for rows in spy.visual_rows if rows is not None]
  assert len(shuffled) == 3
  for seed, rows in enumerate(shuffled):
    assert sorted(rows) == list(range(17))
    np.testing.assert_array_equal(rows, order.visual_shuffle(17, seed))
  assert len({tuple(rows) for rows in shuffled}) == 3


def test_a_row_gets_the_whole_bundle_of_another_and_keeps_its_text(finished):
  split, geometry = (
    finished.experiment.split("test"),
    finished.experiment.geometry,
  )
  rows = order.visual_shuffle(len(split), 0)
  every = order.evaluation_order(len(split), len(split))
  (own,) = split.batches(every, geometry)
  (other,) = split.batches(every, geometry, rows)
  for name in ("input_ids", "attention_mask", "head_start", "label", "valid"):
    np.testing.assert_array_equal(getattr(other, name), getattr(own, name))
  for name in ("image", "grounded", "detected"):
    for field in (name, f"{name}_mask"):
      np.testing.assert_array_equal(
        getattr(other, field), getattr(own, field)[rows]
      )


def test_a_text_model_predicts_the_same_in_bits(text, monkeypatch):
  spy = Spy(monkeypatch)
  rows = table(text)
  assert len(spy.probabilities) == 5
  for found in spy.probabilities[1:]:
    assert found.tobytes() == spy.probabilities[0].tobytes()
  for row in rows:
    assert {values[0] for values in row["scores"]} == {
      values[0] for values in rows[0]["scores"]
    }


def test_other_runs_on_the_data_stand_beside(text, finished, tmp_path):
  row = shuffle.beside_row(RunFolder(text.workdir), finished.experiment)
  scores = json.loads((text.workdir / "eval_test.json").read_text())
  assert row == {
    "condition": "text only, another run",
    "seeds": [],
    "scores": [[scores[name]] for name in shuffle.SCORES],
  }
  row = shuffle.beside_row(RunFolder(finished.workdir), text.experiment)
  assert row["condition"] == "standard, another run"


@pytest.fixture(name="beside")
def row_of_a_changed_copy(finished, tmp_path):
  """Sets a value in a file of a copy of the run and returns its row."""
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)

  def make(name, *path, value):
    content = json.loads((folder / name).read_text())
    section = content
    for key in path[:-1]:
      section = section[key]
    section[path[-1]] = value
    (folder / name).write_text(json.dumps(content))
    return shuffle.beside_row(RunFolder(folder), finished.experiment)

  return make


def test_a_run_that_was_trained_on_shuffled_pictures_is_called_so(beside):
  seed = ("config", "data", "visual_shuffle_seed")
  row = beside("config.json", *seed, value=0)
  assert row["condition"] == "shuffle(train), another run"


@pytest.mark.parametrize(
  ("path", "value"),
  [
    (("config.json", "dataset", "sources", "txt/ours_test.txt"), "0" * 64),
    (("eval_test.json", "n"), 9),
    (("eval_test.json", "protocol"), "released"),
  ],
)
def test_a_run_on_other_data_is_refused(beside, path, value):
  with pytest.raises(ValueError, match="want a run on the data of"):
    beside(*path, value=value)


def test_a_run_that_is_not_finished_is_refused(finished, tmp_path):
  with pytest.raises(ValueError, match="want a run's folder"):
    shuffle.beside_row(RunFolder(tmp_path), finished.experiment)
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)
  (folder / "eval_test.json").unlink()
  with pytest.raises(ValueError, match="want a finished run, found no test"):
    shuffle.beside_row(RunFolder(folder), finished.experiment)
  shutil.rmtree(folder / "checkpoints")
  run = tiny_run.Finished(finished.experiment, folder)
  with pytest.raises(ValueError, match="want a checkpoint with dev scores"):
    table(run)


def test_cells_are_means_over_seeds_with_their_deviation():
  assert shuffle._cell([0.81671]) == "81.67"
  assert shuffle._cell([0.29, 0.30, 0.31]) == "30.00 ± 1.00"
