"""The quickstart's runs over seeds: what is trained, scored and kept."""

import json

import pytest
import tiny_run
from flax import traverse_util

from benchmarks import quickstart_seeds
from ifa_jax.training import loop


def test_a_seed_is_trained_with_its_settings_and_only_once(
  data_dir, tmp_path, monkeypatch
):
  settings = traverse_util.flatten_dict(tiny_run.SECTIONS, sep=".")
  settings["data.data_dir"] = str(data_dir)
  found = quickstart_seeds.score(str(tmp_path), 7, "objects", **settings)
  folder = tmp_path / "objects_7"
  assert json.loads((folder / "config.json").read_text())["config"]["seed"] == 7
  scores = json.loads((folder / "eval_test.json").read_text())
  assert found[0] == pytest.approx(100 * scores["f1"])
  assert len(found) == 2

  def fail(*unused):
    raise AssertionError("trained again")

  monkeypatch.setattr(loop.Trainer, "train", fail)
  assert found == quickstart_seeds.score(
    str(tmp_path), 7, "objects", **settings
  )


def test_lowest_and_highest_are_those_of_each_column():
  lines = quickstart_seeds.rows(["3", "5"], [[90.0, 20.0], [80.0, 25.0]])
  assert lines == [
    ["3", "90.00", "20.00"],
    ["5", "80.00", "25.00"],
    ["lowest", "80.00", "20.00"],
    ["highest", "90.00", "25.00"],
  ]
