"""Runs that start from converted weights."""

import jax
import numpy as np
import pytest
import tiny
import tiny_run
from flax import traverse_util

from ifa_jax import experiment, train, weights
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.convert import converted
from ifa_jax.data.tokenization import Tokenizer
from ifa_jax.models import TextConfig, parameters, settings
from ifa_jax.models.bert import BertConfig
from ifa_jax.models.mega import MEGAConfig
from ifa_jax.models.pcnn import PCNNConfig
from ifa_jax.models.system import RegionConfig
from ifa_jax.start import Start


def flat(tree):
  return traverse_util.flatten_dict(tree, sep="/")


def save(folder, config, initialised=(), tokenizer=None, seed=3):
  params = tiny.perturbed_params(config, seed)
  info = {"initialised": list(initialised)}
  converted.save_converted(folder, config, params, info, tokenizer)
  return flat(params)


def test_without_weights_a_config_stays():
  config = {"weights": None, "model": {}}
  assert weights.resolve(config) is config


def test_weights_give_sizes_and_tokenizer_and_nothing_else(tmp_path, raw_dir):
  source = tiny.tiny_config(fusion="released")
  tokenizer = Tokenizer.load(raw_dir / "tokenizer")
  save(tmp_path / "w", source, tokenizer=tokenizer)
  asked = tiny_run.tiny_run_config("data", weights=str(tmp_path / "w"))
  asked["model"]["text"]["dropout_rate"] = 0.25
  got = weights.resolve(asked)
  sizes = settings.to_dict(source)
  assert got["model"]["vision"] == sizes["vision"]
  assert got["model"]["text"] == sizes["text"] | {
    "dropout_rate": 0.25,
    "attention_dropout_rate": asked["model"]["text"]["attention_dropout_rate"],
  }
  assert got["model"]["fusion"] == "paper"
  assert got["data"]["tokenizer_sha256"] == tokenizer.sha256
  assert {k: v for k, v in got.items() if k not in ("model", "data")} == {
    k: v for k, v in asked.items() if k not in ("model", "data")
  }


def start(folder, fresh, *system):
  """Returns what a run starts from whose fresh parameters would be those."""
  draw = lambda paths: {path: flat(fresh)[path] for path in paths}  # noqa: E731
  return weights.start_params(str(folder), fresh, draw, *system)


def test_a_stream_that_nothing_was_converted_for_keeps_its_geometry(tmp_path):
  source = tiny.tiny_config()
  paths = parameters.param_shapes(source)
  visual = [path for path in paths if path.startswith("visual/")]
  save(tmp_path / "w", source, visual)
  asked = tiny_run.tiny_run_config(
    "data", weights=str(tmp_path / "w"), model={"vision": {"mlp_dim": 24}}
  )
  got = weights.resolve(asked)["model"]
  assert got["text"]["vocab_size"] == source.text.vocab_size
  assert got["vision"]["image_size"] == 32 != source.vision.image_size
  assert got["vision"]["mlp_dim"] == asked["model"]["vision"]["mlp_dim"]
  for name in ("hidden_dim", "num_layers", "num_heads"):
    assert got["vision"][name] == getattr(source.vision, name)
  fresh = tiny.perturbed_params(settings.from_dict(got), seed=7)
  started = flat(start(tmp_path / "w", fresh))
  for path in visual:
    np.testing.assert_array_equal(started[path], flat(fresh)[path])
  save(tmp_path / "part", source, visual[1:])
  asked["weights"] = str(tmp_path / "part")
  got = weights.resolve(asked)["model"]["vision"]
  assert got == settings.to_dict(source)["vision"]


def test_a_text_model_stays_one(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = tiny_run.tiny_run_config(
    "data", weights=str(tmp_path / "w"), model={"vision": None}
  )
  assert weights.resolve(asked)["model"]["vision"] is None


def other_systems(vocab_size):
  text = TextConfig(vocab_size=vocab_size, max_len=99)
  return {
    "bert": BertConfig(text, pooling="cls"),
    "mega": MEGAConfig(text, RegionConfig(feature_dim=5)),
  }


@pytest.mark.parametrize("system", ["bert", "mega"])
def test_another_system_takes_the_text_encoder_alone(tmp_path, system):
  source = tiny.tiny_config()
  given = save(tmp_path / "w", source)
  asked = tiny_run.tiny_run_config("data", weights=str(tmp_path / "w"))
  asked["model"] = settings.to_dict(other_systems(3)[system])
  model = settings.from_dict(weights.resolve(asked)["model"])
  assert model.system == system
  assert (model.text.hidden_dim, model.text.max_len) == (16, 16)
  fresh = parameters.init_params(model, jax.random.key(7))
  got = flat(start(tmp_path / "w", fresh, system))
  for path, array in got.items():
    taken = given if path.startswith("text/") else flat(fresh)
    np.testing.assert_array_equal(array, taken[path], err_msg=path)


def test_a_system_without_an_encoder_takes_none(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = tiny_run.tiny_run_config("data", weights=str(tmp_path / "w"))
  asked["model"] = settings.to_dict(PCNNConfig(vocab_size=9))
  assert weights.resolve(asked) == asked | {"weights": None}


def test_weights_of_no_use_are_refused(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  fresh = parameters.init_params(PCNNConfig(vocab_size=9), jax.random.key(7))
  with pytest.raises(
    ValueError, match="of some use to pcnn, found those of if"
  ):
    start(tmp_path / "w", fresh, "pcnn")


def test_a_folder_without_weights_is_named(tmp_path):
  asked = tiny_run.tiny_run_config("data", weights=str(tmp_path))
  with pytest.raises(ValueError, match=f"{tmp_path}: want a folder that"):
    weights.resolve(asked)


def test_what_was_initialised_follows_the_runs_seed(tmp_path):
  config = tiny.tiny_config()
  own = ["visual/embed/class_token", "relation_head/kernel"]
  given = save(tmp_path / "w", config, own)
  fresh = parameters.init_params(config, jax.random.key(7))
  drawn = []

  def draw(paths):
    drawn.extend(paths)
    return {path: flat(fresh)[path] for path in paths}

  got = flat(weights.start_params(str(tmp_path / "w"), fresh, draw))
  # Nothing that the folder gives: of full size, drawing takes seconds.
  assert sorted(drawn) == sorted(own)
  want = given | {path: flat(fresh)[path] for path in own}
  assert got.keys() == want.keys()
  for path, array in want.items():
    np.testing.assert_array_equal(got[path], array, err_msg=path)


def test_only_the_head_may_have_another_shape(tmp_path):
  given = save(tmp_path / "w", tiny.tiny_config())
  more = tiny.tiny_config(num_relations=11)
  fresh = parameters.init_params(more, jax.random.key(7))
  got = flat(start(tmp_path / "w", fresh))
  assert got["relation_head/kernel"].shape[1] == 11
  np.testing.assert_array_equal(
    got["text/layer_0/mlp_in/kernel"], given["text/layer_0/mlp_in/kernel"]
  )
  fresh["text"]["layer_0"]["mlp_in"]["kernel"] = np.zeros((3, 5), np.float32)
  with pytest.raises(ValueError, match=r"mlp_in/kernel: want \(3, 5\), found"):
    start(tmp_path / "w", fresh)


@pytest.mark.usefixtures("fast_compilation")
def test_a_run_starts_from_them(tmp_path, data_dir):
  frozen = {"peak_lr": 0.0}
  asked = tiny_run.tiny_run_config(
    data_dir,
    weights=str(tmp_path / "w"),
    train={"max_steps": 1},
    optim={"groups": {"new": frozen, "encoder": frozen}},
  )
  config = settings.from_dict(asked["model"])
  own = "visual/layer_0/mlp_in/kernel"
  given = save(tmp_path / "w", config, [own])
  # Drawn alone as it is drawn with all others.
  unaided = Start(experiment.build(asked | {"weights": None}))
  given[own] = flat(unaided.first_params())[own]
  built = experiment.build(weights.resolve(asked))
  train.run(built, str(tmp_path / "run"))
  with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
    got = flat(checkpoints.restore_params(checkpoints.newest))
  for path, array in given.items():
    np.testing.assert_array_equal(got[path], array, err_msg=path)
