"""Runs of the other systems: trained, scored, shown posts of one's own."""

import json
import shutil
from typing import NamedTuple

import numpy as np
import own_runs
import pytest
import resnets
import tiny_run
import tiny_systems

from ifa_jax.batch import blank_pictures
from ifa_jax.data.scenes import store
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models import registry
from ifa_jax.training import evaluation, loop
from ifa_jax.training.config import run_record
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

# One for each kind of input in addition to token ids.
SYSTEMS = ("pcnn", "mtb", "mega", "vilbert", "mkgformer", "hvformer")
SYSTEMS += ("hvpnet_released", "caption", "ifaformer_caption")
# The parts of a post that show its picture.
SEEN = ("image", "boxes", "caption")


class Run(NamedTuple):
  """A finished run."""

  experiment: Experiment
  workdir: str
  predictor: Predictor


@pytest.fixture(scope="module")
def pyramid_scenes(raw_dir):
  """Scenes with the features of a tiny ResNet."""
  encoder = resnets.write(raw_dir.parent / "resnet")
  folder = raw_dir.parent / "pyramid_scenes"
  return own_runs.make_scenes(raw_dir, folder, f"pyramid:{encoder}")


def config_of(name, data_dir, scenes_dir, **changes):
  """Returns the config of a run of four updates."""
  model = tiny_systems.MODELS[name]
  data = {"scenes": str(scenes_dir)} if model.regions else {}
  parts = {"train": {"total_epochs": 1}, "data": data} | changes
  config = tiny_run.tiny_run_config(data_dir, **parts)
  config["model"] = registry.to_dict(model)
  constant = "pyramid/absent"
  config["optim"]["groups"] = {
    "all": {"pattern": f"(?!{constant}).*", "peak_lr": 0.03}
  }
  if name == "hvpnet_released":
    # As in the published config.
    frozen = {"pattern": constant, "peak_lr": 0.0}
    config["optim"]["groups"]["frozen"] = frozen
  return config


@pytest.fixture(scope="module", name="run", params=SYSTEMS)
def run_of_a_system(
  request, data_dir, scenes_dir, tmp_path_factory, fast_compilation
):
  if request.param == "hvpnet_released":
    scenes_dir = request.getfixturevalue("pyramid_scenes")
  built = tiny_run.build(config_of(request.param, data_dir, scenes_dir))
  workdir = tmp_path_factory.mktemp(request.param) / "run"
  loop.run(built, str(workdir))
  return Run(built, workdir, Predictor(workdir))


def test_posts_are_predicted_as_the_test_split_was(run, posts):
  rows = tiny_run.read_lines(run.workdir / "predictions_test.jsonl")
  found = list(run.predictor.predict_all(posts, batch_size=5))
  assert len(found) == len(rows) == 17
  gaps = []
  for post, row in zip(found, rows, strict=True):
    theirs, ours = row["probabilities"], post["probabilities"]
    gaps.append(max(abs(theirs[name] - ours[name]) for name in theirs))
  assert max(gaps) < 1e-5
  # They differ among themselves, or nothing was shown.
  assert np.std([row["probability"] for row in rows]) > 1e-4


def test_a_post_without_a_picture_is_predicted_too(run, posts):
  bare = {k: x for k, x in posts[0].items() if k not in SEEN}
  found, whole = map(run.predictor.predict, (bare, posts[0]))
  gap = abs(found["probability"] - whole["probability"])
  assert (gap > 1e-6) == run.experiment.config.model.sees_pictures


def test_scores_say_where_regions_come_from(run):
  scores = json.loads((run.workdir / "eval_test.json").read_text())
  source = {
    "mega": "spatial edges, chain graph",
    "vilbert": "scenes",
    "hvpnet": "scenes",
  }.get(run.experiment.config.model.system)
  assert scores.get("visual_source") == source
  assert scores["protocol"] == "clean"


def test_sizes_that_the_data_decides_are_in_the_record(run):
  record = json.loads((run.workdir / "config.json").read_text())
  model = record["config"]["model"]
  assert registry.from_dict(model) == run.experiment.config.model
  if "regions" in model:
    assert model["regions"]["feature_dim"] == 192
  if "vocab_size" in model:
    words = (run.workdir / "words.txt").read_text().splitlines()
    assert model["vocab_size"] == len(words) > 100


def test_a_finished_run_scores_again_alike(run):
  again = tiny_run.build(
    json.loads((run.workdir / "config.json").read_text())["config"]
  )
  with evaluation.Checkpoints(run.workdir / "checkpoints") as checkpoints:
    best = evaluation.load_best(again, checkpoints)
  evaluator = evaluation.Evaluator(again)
  found = evaluator.predict(best.params, again.data.split("test"))
  rows = tiny_run.read_lines(run.workdir / "predictions_test.jsonl")
  wanted = [[*row["probabilities"].values()] for row in rows]
  np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
  if again.config.model.system == "hvpnet":
    # Training keeps this constant of the scenes.
    scenes = store.read_split(again.config.data.scenes, "train")
    absent = best.params["pyramid"]["absent"]
    np.testing.assert_array_equal(absent, scenes.absent)


def test_pictures_move_and_go_with_all_that_shows_them(run, posts):
  built = run.experiment
  with evaluation.Checkpoints(run.workdir / "checkpoints") as checkpoints:
    params = evaluation.load_best(built, checkpoints).params
  evaluator, split = evaluation.Evaluator(built), built.data.split("test")
  others = np.roll(np.arange(len(split)), 1)
  moved = evaluator.predict(params, split, others).probabilities
  blank = evaluator.predict(params, split, change=blank_pictures)
  exchanged = [
    {**post, **{k: posts[i][k] for k in SEEN}}
    for post, i in zip(posts, others, strict=True)
  ]
  bare = [{k: x for k, x in p.items() if k not in SEEN} for p in posts]
  predictor, pairs = run.predictor, [(blank.probabilities, bare)]
  # A crop that is grounded for the names of one row is for no other post.
  if "grounded" not in [slot[0] for slot in built.data.geometry.slots]:
    pairs.append((moved, exchanged))
  for ours, shown in pairs:
    records = predictor.predict_all(shown, batch_size=5)
    theirs = [[*record["probabilities"].values()] for record in records]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
  changes = np.abs(moved - blank.probabilities).max() > 1e-6
  assert changes == built.config.model.sees_pictures


def test_other_scenes_than_the_runs_are_refused(data_dir, tmp_path):
  tiny_systems.write_scenes(tmp_path, data_dir)
  config = config_of("mega", data_dir, tmp_path)
  config["model"]["regions"]["feature_dim"] = 192
  with pytest.raises(ValueError, match="feature_dim: expected 6, as in"):
    tiny_run.build(config)


def test_scenes_that_leak_the_relation_need_the_protocol_released(
  data_dir, tmp_path
):
  tiny_systems.write_scenes(tmp_path, data_dir)
  path = tmp_path / "train.json"
  marked = json.loads(path.read_text()) | {"protocol": "released"}
  path.write_text(json.dumps(marked))
  with pytest.raises(ValueError, match="that only released may use"):
    tiny_run.build(config_of("mega", data_dir, tmp_path))


def test_features_that_other_pictures_cannot_get_are_refused(
  data_dir, tmp_path
):
  scenes = tmp_path / "scenes"
  tiny_systems.write_scenes(scenes, data_dir)
  built = tiny_run.build(config_of("bert_sg", data_dir, scenes))
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  with pytest.raises(ValueError, match="features: expected those of"):
    Predictor(tmp_path / "run")


def test_without_scenes_a_model_of_regions_sees_nothing(data_dir, tmp_path):
  config = config_of("bert_sg_att", data_dir, None)
  config["data"]["scenes"] = None
  built = tiny_run.build(config)
  found = evaluation.Evaluator(built).predict(
    tiny_systems.params(built), built.data.split("test")
  )
  folder = RunFolder(tmp_path / "run")
  run_record.claim(folder, built.config, built.prepared.metadata)
  scores = evaluation.write(built, folder, "test", found, 0)
  assert scores["visual_source"] == "nothing"
  (batch, *_) = built.data.batches(
    built.data.split("test"), np.arange(6).reshape(2, 3)
  )
  assert not batch.region_mask.any()
  assert not batch.regions.any()


def test_the_vocabulary_stays_that_of_the_training_rows(
  data_dir, scenes_dir, tmp_path, posts
):
  changes = {"train": {"total_epochs": 1, "max_steps": 1}}
  config = config_of("pcnn", data_dir, scenes_dir, **changes)
  built = tiny_run.build(config)
  loop.run(built, str(tmp_path / "run"))
  before = Predictor(tmp_path / "run").predict(posts[0])
  moved = shutil.move(tmp_path / "run", tmp_path / "moved")
  assert Predictor(moved).predict(posts[0]) == before


def test_pretrained_word_vectors_start_the_table(data_dir, tmp_path, posts):
  path = tmp_path / "vectors.txt"
  rows = {"on": [1.0, 2.0, 3.0, 4.0], "zyx": [5.0, 6.0, 7.0, 8.0]}
  lines = (f"{w} {' '.join(map(str, row))}\n" for w, row in rows.items())
  path.write_text("".join(lines))
  config = config_of("pcnn", data_dir, None)
  config["data"] |= {"scenes": None, "word_vectors": str(path)}
  built = tiny_run.build(config)
  assert built.config.model.vocab_size == 4
  table = {"word": {"embedding": np.zeros((4, 4), np.float32)}}
  started = built.data.inputs.start_params(table)["word"]["embedding"]
  np.testing.assert_array_equal(started[2:], [*rows.values()])


def test_absent_regions_start_as_the_scenes_say(data_dir, pyramid_scenes):
  scenes = store.read_split(pyramid_scenes, "train")
  assert scenes.manifest["num_objects"] == 3
  assert np.abs(scenes.absent).max() > 0.1
  config = config_of("hvpnet_released", data_dir, pyramid_scenes)
  built = tiny_run.build(config)
  params = built.data.inputs.start_params(tiny_systems.params(built))
  np.testing.assert_array_equal(params["pyramid"]["absent"], scenes.absent)
  # The equations have no such parameter.
  config = config_of("hvpnet", data_dir, pyramid_scenes)
  built = tiny_run.build(config)
  params = built.data.inputs.start_params(tiny_systems.params(built))
  assert "absent" not in params["pyramid"]
