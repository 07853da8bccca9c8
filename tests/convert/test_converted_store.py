"""Converted weights on disk."""

import json
import os

import jax
import numpy as np
import pytest
import tiny

from ifa_jax.convert import load_converted, save_converted, summary
from ifa_jax.files import whole


@pytest.fixture(scope="module")
def model():
  config = tiny.tiny_config()
  return config, tiny.perturbed_params(config)


@pytest.fixture
def folder(model, tmp_path):
  save_converted(tmp_path / "weights", *model, {"origin": "test"})
  return tmp_path / "weights"


def test_round_trip(model, folder):
  config, params, info = load_converted(folder)
  assert config == model[0]
  assert info["origin"] == "test"
  assert "jax" in info["versions"]
  jax.tree.map(np.testing.assert_array_equal, params, model[1])
  kinds = {(type(x), x.dtype.name) for x in jax.tree.leaves(params)}
  assert kinds == {(np.ndarray, "float32")}


def test_a_folder_with_files_is_not_overwritten(model, folder):
  before = sorted(os.listdir(folder))
  with pytest.raises(ValueError, match="nothing is overwritten"):
    save_converted(folder, *model)
  assert sorted(os.listdir(folder)) == before


def test_an_empty_folder_is_used(model, tmp_path):
  (tmp_path / "empty").mkdir()
  save_converted(tmp_path / "empty", *model)
  assert load_converted(tmp_path / "empty")[0] == model[0]


def test_an_error_leaves_nothing(model, tmp_path):
  with pytest.raises(TypeError):
    save_converted(tmp_path / "weights", *model, {"bad": object()})
  assert os.listdir(tmp_path) == []


def test_a_killed_writer_leaves_no_converted_folder(model, tmp_path):
  # As a killed writer leaves it.
  left = tmp_path / ".weights.partial-abc" / "weights"
  left.mkdir(parents=True)
  (left / "model.json").write_text("{")
  with pytest.raises(ValueError, match="expected a folder that python -m"):
    load_converted(tmp_path / "weights")
  save_converted(tmp_path / "weights", *model)
  assert os.listdir(tmp_path) == ["weights"]
  load_converted(tmp_path / "weights")


def test_a_folder_appears_when_it_is_complete(tmp_path):
  with whole.folder(tmp_path / "out") as partial:
    assert os.listdir(tmp_path) == [os.path.basename(os.path.dirname(partial))]
  assert os.listdir(tmp_path) == ["out"]


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
  (tmp_path / "elsewhere").mkdir()
  (tmp_path / "out").symlink_to("elsewhere")
  with whole.folder(tmp_path / "out") as partial:
    open(os.path.join(partial, "file"), "w").close()
  assert os.listdir(tmp_path / "elsewhere") == ["file"]
  assert (tmp_path / "out").is_symlink()


def test_a_link_to_nothing_is_not_overwritten(tmp_path):
  (tmp_path / "out").symlink_to("nowhere")
  with (
    pytest.raises(ValueError, match="out: expected a new path"),
    whole.folder(tmp_path / "out"),
  ):
    pass
  assert os.listdir(tmp_path) == ["out"]


def change_model(folder, change):
  path = folder / "model.json"
  settings = json.loads(path.read_text())
  change(settings)
  path.write_text(json.dumps(settings))


def test_params_of_another_model_are_refused(folder):
  change_model(folder, lambda s: s["text"].update(vocab_size=51))
  message = r"word/embedding: expected \(51, 16\), got \(50, 16\)"
  with pytest.raises(ValueError, match=message):
    load_converted(folder)


def test_an_unknown_setting_is_refused(folder):
  change_model(folder, lambda s: s["text"].update(vocabulary=51))
  with pytest.raises(ValueError, match=r"model\.json: model\.text\.vocabulary"):
    load_converted(folder)


@pytest.mark.parametrize("value", ["big", None])
def test_a_setting_of_another_type_is_refused(folder, value):
  change_model(folder, lambda s: s.update(text=value))
  with pytest.raises(ValueError, match=r"model\.json: ") as caught:
    load_converted(folder)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.json", "provenance.json"])
def test_damaged_json(name, folder):
  (folder / name).write_text("{")
  with pytest.raises(ValueError, match=f"{name}: not JSON"):
    load_converted(folder)


def test_missing_params(folder):
  os.rename(folder / "params", folder / "away")
  with pytest.raises(ValueError, match="params: missing or damaged"):
    load_converted(folder)


def test_long_lists_of_parameters_are_abbreviated():
  visual = [f"visual/layer_{i}/kernel" for i in range(5)]
  few = ["relation_head/bias", "relation_head/kernel"]
  assert summary.listed_by_part([*visual, *few]) == [
    "relation_head/bias, relation_head/kernel",
    "visual/layer_0/kernel ... visual/layer_4/kernel, 5 arrays",
  ]
  assert summary.listed_by_part([]) == []
