"""Shared models predict as their runs do, to the last bit."""

import pathlib
import shutil
import stat

import jax
import numpy as np
import own_runs
import pytest
import resnets
import tiny
import tiny_systems
from flax import traverse_util
from safetensors import numpy as safetensors

from ifa_jax import models
from ifa_jax.convert import save_converted
from ifa_jax.files import checksums
from ifa_jax.inference.predictor import Predictor
from ifa_jax.inference.sharing import record, sources
from ifa_jax.preparation.scenes import splits
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.state import TrainState

pytestmark = pytest.mark.usefixtures("fast_compilation")

FILES = {
  "README.md",
  "config.json",
  "crc32c.json",
  "model.safetensors",
  "tokenizer/tokenizer.json",
  "tokenizer/tokenizer_config.json",
}


def files_of(folder):
  found = pathlib.Path(folder).rglob("*")
  return {p.relative_to(folder).as_posix() for p in found if p.is_file()}


def probabilities(predictor, posts):
  """Returns float32[n, C], not rounded as records have them."""
  examples = [predictor.reader.read(post) for post in posts]
  predict = predictor.bind(EvalStep(models.build(predictor.model)))
  return np.asarray(predict(predictor.reader.batch(examples, len(posts))))


def share(built, folder, params=None):
  """Writes a run and shares it; returns its predictor and the folder."""
  if params is None:
    params = tiny.perturbed_params(built.config.model)
  own_runs.write(built, params, folder / "run")
  run = Predictor(folder / "run")
  run.save_pretrained(folder / "shared")
  return run, folder / "shared"


def assert_same(found, wanted, posts):
  """Two predictors give the same records and bits, which differ by row."""
  bits = probabilities(wanted, posts[:4])
  np.testing.assert_array_equal(probabilities(found, posts[:4]), bits)
  assert np.ptp(bits, axis=0).max() > 1e-4
  records = [list(p.predict_all(posts, 5)) for p in (found, wanted)]
  assert records[0] == records[1]
  assert (found.model, found.step) == (wanted.model, wanted.step)
  assert found.relations == wanted.relations


@pytest.fixture(scope="module", name="shared")
def shared_model(predictor, fast_compilation, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sharing") / "shared"
  predictor.save_pretrained(folder)
  return folder


def test_a_finished_run_is_shared_whole(predictor, shared, posts):
  assert files_of(shared) == FILES
  modes = {stat.S_IMODE(p.stat().st_mode) for p in shared.iterdir()}
  assert all(mode & stat.S_IRGRP for mode in modes)
  assert_same(Predictor.from_pretrained(shared), predictor, posts)


def test_parameters_are_stored_by_their_paths(finished, shared):
  found = safetensors.load_file(shared / "model.safetensors")
  with Checkpoints(finished.workdir / "checkpoints") as checkpoints:
    best = checkpoints.restore_params(checkpoints.best_scored())
  wanted = traverse_util.flatten_dict(best, sep=".")
  assert "text.layer_0.attention.query.kernel" in found
  assert found.keys() == wanted.keys()
  for name, array in wanted.items():
    assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
  ("name", "extra"),
  [
    ("pcnn", {"words.txt"}),
    ("mtb", set()),
    ("mega", {"scenes.json"}),
    ("vilbert", {"scenes.json"}),
  ],
)
def test_other_systems_are_shared_whole(
  name, extra, data_dir, scenes_dir, posts, tmp_path
):
  built = tiny_systems.build(name, data_dir, scenes_dir)
  run, shared = share(built, tmp_path, tiny_systems.params(built))
  shutil.move(tmp_path / "run", tmp_path / "gone")
  assert files_of(shared) == FILES | extra
  assert_same(Predictor(shared), run, posts)


def test_a_text_model_is_shared_whole(build, posts, tmp_path):
  run, shared = share(build(model={"vision": None}), tmp_path)
  assert_same(Predictor.from_pretrained(shared), run, posts)


def test_a_model_brings_the_encoder_of_its_objects(
  raw_dir, data_dir, posts, tmp_path
):
  encoder, scenes = tmp_path / "encoder", tmp_path / "scenes"
  config = tiny.tiny_config()
  save_converted(encoder, config, tiny.perturbed_params(config))
  splits.produce(
    splits.Settings(
      raw_dir=str(raw_dir),
      out=str(scenes),
      boxes=str(raw_dir / "boxes.json"),
      parser="chain",
      encoder=str(encoder),
    )
  )
  built = tiny_systems.build("bert_sg_att", data_dir, scenes)
  assert built.config.model.regions.feature_dim == 16
  run, shared = share(built, tmp_path)
  # Not even its name is left.
  shutil.rmtree(encoder)
  assert str(tmp_path) not in (shared / "scenes.json").read_text()
  assert_same(Predictor(shared), run, posts)
  Predictor(shared).save_pretrained(tmp_path / "again")
  assert_same(Predictor(tmp_path / "again"), run, posts)


def test_a_model_brings_the_encoder_of_its_pyramid(
  raw_dir, data_dir, posts, tmp_path
):
  encoder = resnets.write(tmp_path / "resnet")
  scenes = own_runs.make_scenes(
    raw_dir, tmp_path / "scenes", f"pyramid:{encoder}"
  )
  built = tiny_systems.build("hvpnet_released", data_dir, scenes)
  params = tiny_systems.params(built)
  own_runs.write(built, params, tmp_path / "run")
  run = Predictor(tmp_path / "run")
  run.save_pretrained(tmp_path / "shared")
  shutil.rmtree(encoder)
  assert str(tmp_path) not in (tmp_path / "shared" / "scenes.json").read_text()
  assert_same(Predictor(tmp_path / "shared"), run, posts)


def test_a_shared_model_is_shared_again_alike(predictor, tmp_path):
  first, second = tmp_path / "model_1", tmp_path / "model_2"
  predictor.save_pretrained(first, license="apache-2.0", dataset="Ours")
  Predictor.from_pretrained(first).save_pretrained(second)
  for name in files_of(first) - {"README.md"}:
    assert (first / name).read_bytes() == (second / name).read_bytes()
  cards = [(f / "README.md").read_text() for f in (first, second)]
  assert cards[1] == cards[0].replace("model_1", "model_2")
  Predictor.from_pretrained(first).save_pretrained(
    tmp_path / "c", license="mit"
  )
  assert record.read(tmp_path / "c").license == "mit"
  assert record.read(second).license == "apache-2.0"


def test_no_path_of_this_machine_is_shared(build, data_dir, tmp_path):
  built = build(data={"word_vectors": "/home/me/secret/vectors.txt"})
  _, shared = share(built, tmp_path)
  for name in ("config.json", "README.md"):
    text = (shared / name).read_text()
    assert "vectors.txt" in text
    assert "secret" not in text
    assert str(tmp_path) not in text


def test_a_run_in_bfloat16_keeps_its_parameters(build, posts, tmp_path):
  built = build(model={"dtype": "bfloat16"})
  params = tiny.perturbed_params(built.config.model)
  run, shared = share(built, tmp_path, params)
  found = safetensors.load_file(shared / "model.safetensors")
  wanted = traverse_util.flatten_dict(params, sep=".")
  assert jax.tree.all(jax.tree.map(np.array_equal, found, wanted))
  assert_same(Predictor(shared), run, posts)


def test_a_run_that_has_gone_on_is_not_shared_by_halves(build, tmp_path):
  built = build()
  params = tiny.perturbed_params(built.config.model)
  own_runs.write(built, params, tmp_path / "run")
  run = Predictor(tmp_path / "run")
  with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
    state = TrainState(np.int32(own_runs.STEP + 1), params, ())
    checkpoints.save(state, {"f1": 0.9})
  with pytest.raises(ValueError, match="at step 7, got step 8: training has"):
    run.save_pretrained(tmp_path / "shared")
  assert not (tmp_path / "shared").exists()


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(
  predictor, tmp_path, monkeypatch
):
  (tmp_path / "taken").mkdir()
  (tmp_path / "taken" / "file").touch()
  with pytest.raises(ValueError, match="taken: "):
    predictor.save_pretrained(tmp_path / "taken")

  def fail(*_):
    raise OSError("disk full")

  monkeypatch.setattr(record, "write", fail)
  with pytest.raises(OSError, match="disk full"):
    predictor.save_pretrained(tmp_path / "new")
  assert [path.name for path in tmp_path.iterdir()] == ["taken"]
  assert files_of(tmp_path / "taken") == {"file"}


def test_the_best_checkpoint_is_found_without_its_parameters(
  finished, predictor, shared
):
  for folder in (finished.workdir, shared):
    step, file = sources.open_folder(folder).best()
    assert step == predictor.step
    assert checksums.damage(pathlib.Path(file).parent) is None


def test_settings_read_back_equal(finished, shared):
  found = record.read(shared)
  config = finished.experiment.config
  assert found.settings.model == config.model
  assert found.settings.trained_with == {"objects", "pictures"}
  assert found.settings.protocol == "clean"
  assert found.training["config"]["seed"] == config.seed
  assert found.training["git_commit"] is not None
