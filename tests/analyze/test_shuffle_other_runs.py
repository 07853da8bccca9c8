"""Other runs in Table 1 of a run: on the same data, finished, and named."""

import json
import shutil

import pytest
import tiny_run

from ifa_jax.analyze.shuffle import command, conditions
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_shuffle_train_is_the_runs_config_on_shuffled_pictures(
  finished, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)
  new = conditions.train_shuffled(finished.experiment, RunFolder(folder), 5)
  assert new.path == str(folder / "shuffle_train_5")
  theirs, ours = (
    run.read_record()["config"] for run in (new, RunFolder(folder))
  )
  assert theirs["data"].pop("visual_shuffle_seed") == 5
  assert ours["data"].pop("visual_shuffle_seed") is None
  assert theirs == ours
  row = conditions.read_run(
    new, finished.experiment, tiny_run.gold_labels(finished)
  )
  assert row.name == "shuffle(train)"
  written = folder / "shuffle_train_5" / "eval_test.json"
  before = written.stat().st_mtime_ns
  conditions.train_shuffled(finished.experiment, RunFolder(folder), 5)
  assert written.stat().st_mtime_ns == before


@pytest.fixture(name="read_changed")
def row_of_a_changed_copy(finished, tmp_path):
  """Sets a value in a file of a copy of the run and reads it as another run."""
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)

  def make(name, *path, value):
    content = json.loads((folder / name).read_text())
    section = content
    for key in path[:-1]:
      section = section[key]
    section[path[-1]] = value
    (folder / name).write_text(json.dumps(content))
    return conditions.read_run(
      RunFolder(folder), finished.experiment, tiny_run.gold_labels(finished)
    )

  return make


def test_a_run_that_was_trained_on_shuffled_pictures_is_named_so(read_changed):
  seed = ("config", "data", "visual_shuffle_seed")
  assert read_changed("config.json", *seed, value=0).name == "shuffle(train)"


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    (
      ("config.json", "dataset", "sources", "txt/ours_test.txt"),
      "0" * 64,
      "expected a run on the data of",
    ),
    (("eval_test.json", "n"), 9, "expected n=9 as in eval_test.json, got 17"),
    (("eval_test.json", "protocol"), "released", "expected protocol='rele"),
  ],
)
def test_a_run_on_other_data_is_refused(read_changed, path, value, message):
  with pytest.raises(ValueError, match=message):
    read_changed(*path, value=value)


def test_a_run_with_other_gold_relations_is_refused(finished):
  other = tiny_run.gold_labels(finished).copy()
  other[3] = (other[3] + 1) % 10
  with pytest.raises(ValueError, match="expected a run on the data of"):
    conditions.read_run(RunFolder(finished.workdir), finished.experiment, other)


def test_a_run_that_is_not_finished_is_refused(finished, tmp_path):
  def read_run(path):
    return conditions.read_run(
      RunFolder(path), finished.experiment, tiny_run.gold_labels(finished)
    )

  with pytest.raises(ValueError, match="expected a run's folder"):
    read_run(tmp_path)
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)
  (folder / "eval_test.json").unlink()
  with pytest.raises(ValueError, match="got no test predictions"):
    read_run(folder)
  shutil.rmtree(folder / "checkpoints")
  run = tiny_run.Finished(finished.experiment, folder)
  with pytest.raises(ValueError, match="expected a checkpoint with dev scores"):
    command.shuffle_table(run.experiment, RunFolder(folder), num_seeds=3)
