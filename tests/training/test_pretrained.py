"""Runs that start from pretrained weights."""

import dataclasses
import logging
import re
import shutil

import jax
import numpy as np
import pytest
import tiny
import tiny_run
from flax import traverse_util

from configs import minilm, mnre, quickstart
from ifa_jax.convert import cache, store
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import TextConfig, parameters, registry
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.training import experiment, initial_values, loop, pretrained
from ifa_jax.training.config import run_record
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.training.initialize import Start
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.slow


def flat(tree):
  return traverse_util.flatten_dict(tree, sep="/")


def save(folder, config, initialised=(), tokenizer=None, seed=3):
  params = tiny.perturbed_params(config, seed)
  info = {"initialised": list(initialised)}
  store.save_converted(folder, config, params, info, tokenizer)
  return flat(params)


def asked_for(weights, **changes):
  """Returns the tiny config with other weights, and settings changed."""
  config = tiny_run.tiny_run_config("data", weights=str(weights), **changes)
  return RunConfig.from_dict(config)


def test_a_config_with_random_weights_stays():
  config = asked_for("random")
  assert resolve(config) == config


def test_a_model_with_encoders_must_have_the_setting():
  with pytest.raises(ValueError, match=r"config\.weights: expected encoders"):
    resolve(RunConfig())


def test_weights_give_sizes_and_tokenizer_and_nothing_else(tmp_path, raw_dir):
  source = tiny.tiny_config(fusion="released")
  tokenizer = Tokenizer.load(raw_dir / "tokenizer")
  save(tmp_path / "w", source, tokenizer=tokenizer)
  asked = asked_for(tmp_path / "w", model={"text": {"dropout_rate": 0.25}})
  got = resolve(asked)
  assert got.model.vision == source.vision
  assert got.model.text == dataclasses.replace(
    source.text,
    dropout_rate=0.25,
    attention_dropout_rate=asked.model.text.attention_dropout_rate,
  )
  assert got.model.fusion == "paper"
  assert got.data.tokenizer_sha256 == tokenizer.sha256
  others = {"model": asked.model, "data": asked.data}
  assert dataclasses.replace(got, **others) == asked


def start(folder, fresh, *system):
  """Returns what a run starts from whose fresh parameters would be those."""
  draw = lambda paths: {path: flat(fresh)[path] for path in paths}  # noqa: E731
  shapes = {path: leaf.shape for path, leaf in flat(fresh).items()}
  planned = initial_values.plan(str(folder), shapes, *system)
  return initial_values.start_params(str(folder), planned, draw)


def test_a_stream_that_nothing_was_converted_for_keeps_its_geometry(tmp_path):
  source = tiny.tiny_config()
  paths = parameters.param_shapes(source)
  visual = [path for path in paths if path.startswith("visual/")]
  save(tmp_path / "w", source, visual)
  asked = asked_for(tmp_path / "w", model={"vision": {"mlp_dim": 24}})
  model = resolve(asked).model
  assert model.text.vocab_size == source.text.vocab_size
  assert model.vision.image_size == 32 != source.vision.image_size
  assert model.vision.mlp_dim == 24
  for name in ("hidden_dim", "num_layers", "num_heads"):
    assert getattr(model.vision, name) == getattr(source.vision, name)
  fresh = tiny.perturbed_params(model, seed=7)
  started = flat(start(tmp_path / "w", fresh))
  for path in visual:
    np.testing.assert_array_equal(started[path], flat(fresh)[path])
  save(tmp_path / "part", source, visual[1:])
  assert resolve(asked_for(tmp_path / "part")).model.vision == source.vision


def test_a_text_model_stays_one(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w", model={"vision": None})
  assert resolve(asked).model.vision is None


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
  asked = asked_for(tmp_path / "w")
  asked = dataclasses.replace(asked, model=other_systems(3)[system])
  model = resolve(asked).model
  assert model.system == system
  assert (model.text.hidden_dim, model.text.max_len) == (16, 16)
  fresh = parameters.init_params(model, jax.random.key(7))
  got = flat(start(tmp_path / "w", fresh, system))
  for path, array in got.items():
    taken = given if path.startswith("text/") else flat(fresh)
    np.testing.assert_array_equal(array, taken[path], err_msg=path)


def test_a_system_without_an_encoder_takes_none(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w")
  asked = dataclasses.replace(asked, model=PCNNConfig(vocab_size=9))
  assert resolve(asked) == dataclasses.replace(asked, weights=None)


def test_weights_of_no_use_are_refused(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  fresh = parameters.init_params(PCNNConfig(vocab_size=9), jax.random.key(7))
  with pytest.raises(
    ValueError, match="that pcnn can use, got those of ifaformer"
  ):
    start(tmp_path / "w", fresh, "pcnn")


def test_a_folder_without_weights_is_named(tmp_path):
  with pytest.raises(ValueError, match=f"expected text=.*got '{tmp_path}"):
    resolve(asked_for(tmp_path))


def test_what_was_initialised_follows_the_runs_seed(tmp_path):
  config = tiny.tiny_config()
  own = ["visual/embed/class_token", "relation_head/kernel"]
  given = save(tmp_path / "w", config, own)
  fresh = parameters.init_params(config, jax.random.key(7))
  drawn = []

  def draw(paths):
    drawn.extend(paths)
    return {path: flat(fresh)[path] for path in paths}

  shapes = {path: leaf.shape for path, leaf in flat(fresh).items()}
  planned = initial_values.plan(str(tmp_path / "w"), shapes)
  folder = str(tmp_path / "w")
  got = flat(initial_values.start_params(folder, planned, draw))
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
  with pytest.raises(ValueError, match=r"mlp_in/kernel: expected \(3, 5\)"):
    start(tmp_path / "w", fresh)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("recorded", "taken", "line"),
  [
    (["None", "a", "b"], True, None),
    (["None", "b", "a"], False, "relation head left out: expected relations"),
    (["None", "a"], False, r"expected relations .*, got \['None', 'a'\]"),
    ("None", False, "relation head left out"),
    (None, True, "names no relations; its relation head is taken"),
  ],
)
def test_a_head_for_other_relations_is_drawn(
  recorded, taken, line, tmp_path, caplog
):
  """Of the same number, in another order or under other names."""
  config = tiny.tiny_config(num_relations=3)
  params = tiny.perturbed_params(config, 3)
  info = {"relations": recorded}
  store.save_converted(tmp_path / "w", config, params, info)
  shapes = parameters.param_shapes(config)
  relations = ["None", "a", "b"]
  plan = initial_values.plan(str(tmp_path / "w"), shapes, relations=relations)
  heads = {"relation_head/kernel", "relation_head/bias"}
  assert heads & {*plan.taken} == (heads if taken else set())
  assert heads & {*plan.drawn} == (set() if taken else heads)
  assert {*plan.taken, *plan.drawn} == {*shapes}
  assert ("relation head: random" in plan.lines()[-1]) == (not taken)
  if line is None:
    assert not caplog.messages
  else:
    assert re.search(line, caplog.text)


@pytest.mark.usefixtures("fast_compilation")
def test_a_run_starts_from_them(tmp_path, data_dir):
  frozen = {"peak_lr": 0.0}
  asked = tiny_run.tiny_run_config(
    data_dir,
    weights=str(tmp_path / "w"),
    train={"max_steps": 1},
    optim={"groups": {"new": frozen, "encoder": frozen}},
  )
  config = registry.from_dict(asked["model"])
  own = "visual/layer_0/mlp_in/kernel"
  given = save(tmp_path / "w", config, [own])
  # Drawn alone as it is drawn with all others.
  unaided = Start(tiny_run.build(asked | {"weights": "random"}))
  given[own] = flat(unaided.first_params())[own]
  built = tiny_run.build(asked)
  loop.run(built, str(tmp_path / "run"))
  with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
    got = flat(checkpoints.restore_params(checkpoints.newest))
  for path, array in given.items():
    np.testing.assert_array_equal(got[path], array, err_msg=path)


def test_a_run_that_began_needs_its_weights_no_more(tmp_path, data_dir):
  asked = tiny_run.tiny_run_config(data_dir, weights=str(tmp_path / "w"))
  asked = RunConfig.from_dict(asked)
  save(tmp_path / "w", asked.model, ["visual/embed/class_token"])
  first = resolve(asked)
  built, folder = experiment.build(first), RunFolder(tmp_path / "run")
  metadata = built.prepared.metadata
  run_record.claim(folder, built.config, metadata, Start(built).record)
  record = folder.read_record()
  assert record["start"] == [
    f"relation head: {tmp_path}/w, 2 tensors",
    f"text: {tmp_path}/w, {record['start'][1].split()[-2]} tensors",
    f"vision: {tmp_path}/w, {record['start'][2].split()[-2]} tensors",
    "visual/embed/class_token: random",
  ]
  shutil.rmtree(tmp_path / "w")
  assert resolve(asked, folder) == first
  with pytest.raises(ValueError, match="a folder that python"):
    resolve(asked)


VARIANTS = [
  (module, variant)
  for module in (minilm, mnre, quickstart)
  for variant in module.VARIANTS
]


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_every_config_names_its_encoders_or_asks_for_random_ones(
  module, variant
):
  """No config trains random encoders unless its `weights` says so."""
  config = module.get_config(variant).to_dict()
  model = config["model"]
  if model.get("text") is None:
    assert variant == "pcnn"
    return
  if config["weights"] == RANDOM:
    # Toy sizes, for which nobody publishes an encoder.
    assert model["text"]["hidden_dim"] == 64
    return
  reads_pixels = model["system"] == "ifaformer" and model["vision"]
  wanted = {"text", "vision"} if reads_pixels else {"text"}
  if module is minilm:
    # All its pictures are constant.
    wanted = {"text"}
  assert {*cache.parse(config["weights"])} == wanted


@pytest.mark.usefixtures("fast_compilation")
def test_a_run_from_random_values_says_so_before_its_first_update(
  data_dir, caplog
):
  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  with caplog.at_level(logging.INFO, "ifa_jax"):
    Start(built).fresh()
  assert "Starting from\n  relation head, text, vision: random" in caplog.text


def test_no_check_of_the_tokenizer_stays_none(tmp_path, raw_dir):
  tokenizer = Tokenizer.load(raw_dir / "tokenizer")
  save(tmp_path / "w", tiny.tiny_config(), tokenizer=tokenizer)
  asked = asked_for(tmp_path / "w", data={"tokenizer_sha256": ""})
  assert resolve(asked).data.tokenizer_sha256 == ""


def test_the_number_of_crops_is_the_configs_and_other_changes_are_logged(
  tmp_path, caplog
):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w", model={"vision": {"num_crops": 5}})
  with caplog.at_level(logging.INFO, "ifa_jax"):
    got = resolve(asked)
  assert got.model.vision.num_crops == 5
  assert "The encoder decides model.vision: " in caplog.text
  assert "image_size 16 (not 32)" in caplog.text


def test_marker_rows_follow_the_runs_seed(tmp_path):
  config, table = tiny.tiny_config(), "text/embed/word/embedding"
  last = config.text.vocab_size - 1
  rows = f"{table}, rows {last - 3} to {last}"
  given = save(tmp_path / "w", config, [rows])
  fresh = tiny.perturbed_params(config, seed=7)
  got = flat(start(tmp_path / "w", fresh))[table]
  np.testing.assert_array_equal(got[:-4], given[table][:-4])
  np.testing.assert_array_equal(got[-4:], flat(fresh)[table][-4:])


def test_other_encoders_on_another_process_are_refused(tmp_path, monkeypatch):
  save(tmp_path / "w", tiny.tiny_config())
  monkeypatch.setattr(pretrained.collectives, "count", lambda: 2)
  for other, same in ((lambda text: text, True), (lambda _: "0", False)):
    monkeypatch.setattr(
      pretrained.collectives, "gather_texts", lambda x, o=other: [x, o(x)]
    )
    if same:
      pretrained.check_same_everywhere(str(tmp_path / "w"))
    else:
      with pytest.raises(ValueError, match="other files on process 1"):
        pretrained.check_same_everywhere(str(tmp_path / "w"))
