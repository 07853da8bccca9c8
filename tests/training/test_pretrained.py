"""Runs that start from pretrained weights."""

import dataclasses
import json
import logging
import re
import shutil

import jax
import numpy as np
import pytest
import tiny
import tiny_run
from converted import asked_for, flat, save

from ifa_jax.convert import store
from ifa_jax.models import TextConfig, parameters, registry
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.training import experiment, loop, pretrained, recorded_inputs
from ifa_jax.training.config import run_record
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.initialize import Start
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.slow


def start(folder, fresh, *system):
  """Returns the initial parameters, with `fresh` for random ones."""
  draw = lambda paths: {path: flat(fresh)[path] for path in paths}  # noqa: E731
  shapes = {path: leaf.shape for path, leaf in flat(fresh).items()}
  planned = pretrained.plan(str(folder), shapes, *system)
  return pretrained.start_params(planned, draw)


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


def other_systems(vocab_size):
  text = TextConfig(vocab_size=vocab_size, max_len=99)
  return {
    "bert": BertConfig(text, pooling="cls"),
    "mega": MEGAConfig(text, RegionConfig(feature_dim=5)),
  }


@pytest.mark.parametrize("system", ["bert", "mega"])
def test_another_system_takes_only_the_text_encoder(tmp_path, system):
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


def test_weights_of_no_use_are_refused(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  fresh = parameters.init_params(PCNNConfig(vocab_size=9), jax.random.key(7))
  with pytest.raises(
    ValueError, match="that pcnn can use, got those of ifaformer"
  ):
    start(tmp_path / "w", fresh, "pcnn")


def test_initialised_parameters_follow_the_runs_seed(tmp_path):
  config = tiny.tiny_config()
  own = ["visual/embed/class_token", "relation_head/kernel"]
  given = save(tmp_path / "w", config, own)
  fresh = parameters.init_params(config, jax.random.key(7))
  drawn = []

  def draw(paths):
    drawn.extend(paths)
    return {path: flat(fresh)[path] for path in paths}

  shapes = {path: leaf.shape for path, leaf in flat(fresh).items()}
  planned = pretrained.plan(str(tmp_path / "w"), shapes)
  got = flat(pretrained.start_params(planned, draw))
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
  """The same number of relations, in another order or with other names."""
  config = tiny.tiny_config(num_relations=3)
  params = tiny.perturbed_params(config, 3)
  info = {"relations": recorded}
  store.save_converted(tmp_path / "w", config, params, info)
  shapes = parameters.param_shapes(config)
  relations = ["None", "a", "b"]
  plan = pretrained.plan(str(tmp_path / "w"), shapes, relations=relations)
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
  # The same values as if all parameters were drawn.
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


def test_a_run_without_an_update_begins_from_the_same_weights(
  tmp_path, data_dir
):
  asked = tiny_run.tiny_run_config(data_dir, weights=str(tmp_path / "w"))
  config = registry.from_dict(asked["model"])
  save(tmp_path / "w", config, [])
  built, folder = tiny_run.build(asked), RunFolder(tmp_path / "run")
  metadata = built.prepared.metadata
  run_record.claim(folder, built.config, metadata, Start(built).record)
  recorded_inputs.check_weights(built, folder)
  path = tmp_path / "w" / "provenance.json"
  other = {"text": {"name": "bert", "files": {"model.safetensors": "1f"}}}
  facts = json.loads(path.read_text())
  path.write_text(json.dumps(facts | {"sources": other}))
  with pytest.raises(ValueError, match="expected the encoders that the run"):
    recorded_inputs.check_weights(built, folder)


@pytest.mark.usefixtures("fast_compilation")
def test_a_run_from_random_values_says_so_before_its_first_update(
  data_dir, caplog
):
  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  with caplog.at_level(logging.INFO, "ifa_jax"):
    Start(built).fresh()
  assert "Starting from\n  relation head, text, vision: random" in caplog.text


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
