"""Words and scenes are those that a run began with, or it does not go on."""

import json
import logging
import shutil

import own_runs
import pytest
import scene_trees
import tiny_systems
import whole_run

from ifa_jax.data import schema
from ifa_jax.data.scenes import store
from ifa_jax.training import evaluation, loop, recorded_inputs
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

OTHERS = "expected the inputs that the run began with, got others from data"


@pytest.fixture(name="scenes")
def scenes_of_the_dataset(data_dir, tmp_path):
  """A folder of scenes, and a function that makes one split of it again."""
  folder = tmp_path / "scenes"
  pictures, heads = tiny_systems.write_scenes(folder, data_dir)

  def change(split, **manifest):
    _, *kept = pictures[split]
    fewer = {name: pictures[split][name] for name in kept}
    ours = {name: x for name, x in heads.items() if name.startswith(split)}
    scene_trees.write(folder, fewer, ours, split, **manifest)

  return folder, change


@pytest.fixture(name="run")
def run_that_has_begun(data_dir, scenes, tmp_path):
  """A run on scenes without a checkpoint, and a function that builds it."""

  def build():
    return tiny_systems.build("mega", data_dir, scenes[0])

  return begin(build(), tmp_path), build


def begin(built, tmp_path):
  folder = RunFolder(tmp_path / "run")
  run_record.claim(folder, built.config, built.prepared.metadata)
  recorded_inputs.keep(built, folder)
  return folder


def edit(path, **values):
  """Sets values of a JSON object; None deletes one."""
  found = json.loads(path.read_text()) | values
  kept = {key: value for key, value in found.items() if value is not None}
  path.write_text(json.dumps(kept))


@pytest.mark.silent_input
@pytest.mark.parametrize("split", schema.SPLITS)
def test_a_run_does_not_go_on_with_other_scenes(run, scenes, tmp_path, split):
  folder, build = run
  before = whole_run.snapshot(folder.path)
  scenes[1](split)
  refused = rf"{folder.path}/scenes\.json: {OTHERS}\.scenes; restore them, or"
  with pytest.raises(ValueError, match=refused):
    loop.run(build(), folder.path)
  with pytest.raises(ValueError, match=refused):
    evaluation.run(build(), folder, "test")
  assert whole_run.snapshot(folder.path) == before


def test_the_same_scenes_made_again_are_accepted(run, scenes, data_dir):
  folder, build = run
  before = whole_run.snapshot(folder.path)
  shutil.rmtree(scenes[0])
  tiny_systems.write_scenes(scenes[0], data_dir)
  # A later version may record more of them.
  edit(scenes[0] / "train.json", later="a new key")
  recorded_inputs.keep(build(), folder)
  recorded_inputs.check(build(), folder)
  assert whole_run.snapshot(folder.path) == before


def test_an_encoder_may_have_moved(run, scenes, tmp_path):
  folder, build = run
  for path in (scenes[0] / "train.json", tmp_path / "run" / "scenes.json"):
    edit(path, features={"kind": "random", "folder": str(path)})
  recorded_inputs.keep(build(), folder)
  edit(scenes[0] / "train.json", features={"kind": "others"})
  with pytest.raises(ValueError, match=OTHERS):
    recorded_inputs.keep(build(), folder)


def test_runs_of_earlier_versions_kept_the_scenes_of_train(
  run, scenes, tmp_path
):
  folder, build = run
  shutil.copy(scenes[0] / "train.json", tmp_path / "run" / "scenes.json")
  before = whole_run.snapshot(folder.path)
  scenes[1]("test")
  recorded_inputs.keep(build(), folder)
  scenes[1]("train")
  with pytest.raises(ValueError, match=OTHERS):
    recorded_inputs.keep(build(), folder)
  assert whole_run.snapshot(folder.path) == before


def test_scenes_that_are_kept_are_an_object(run, tmp_path):
  folder, build = run
  (tmp_path / "run" / "scenes.json").write_text("[]")
  with pytest.raises(ValueError, match=OTHERS):
    recorded_inputs.check(build(), folder)


def test_inputs_are_compared_while_no_other_process_trains(run, scenes):
  folder, build = run
  scenes[1]("train")
  with (
    folder.held(),
    pytest.raises(ValueError, match="another process is training there"),
  ):
    loop.run(build(), folder.path)


@pytest.mark.silent_input
def test_a_run_does_not_go_on_with_other_word_vectors(data_dir, tmp_path):
  path = tmp_path / "vectors.txt"

  def build(*words):
    path.write_text("".join(f"{word} 1 2 3 4\n" for word in words))
    return tiny_systems.build("pcnn", data_dir, word_vectors=str(path))

  folder = begin(build("on", "in"), tmp_path)
  recorded_inputs.check(build("on", "in"), folder)
  before = whole_run.snapshot(folder.path)
  refused = rf"{folder.path}/words\.txt: {OTHERS}\.word_vectors or"
  with pytest.raises(ValueError, match=refused):
    loop.run(build("on", "at"), folder.path)
  with pytest.raises(ValueError, match=refused):
    evaluation.run(build("in", "on"), folder, "test")
  assert whole_run.snapshot(folder.path) == before


def test_a_check_writes_nothing(data_dir, tmp_path):
  built = tiny_systems.build("pcnn", data_dir)
  with pytest.raises(
    ValueError, match=r"expected a run's folder with a config"
  ):
    evaluation.run(built, RunFolder(tmp_path / "run"), "test")
  assert not (tmp_path / "run").exists()
  folder = begin(built, tmp_path)
  (tmp_path / "run" / "words.txt").unlink()
  recorded_inputs.check(built, folder)
  assert not (tmp_path / "run" / "words.txt").exists()


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("name", "warns"), [("mega", True), ("vilbert", False)]
)
def test_parses_of_other_sentences_are_reported(
  data_dir, scenes, caplog, name, warns
):
  folder, build = scenes[0], lambda: tiny_systems.build(name, data_dir, folder)
  sources = schema.read_metadata(data_dir).metadata["sources"]
  for split in schema.SPLITS:
    edit(folder / f"{split}.json", text=sources[f"txt/ours_{split}.txt"])
  with caplog.at_level(logging.WARNING):
    build().data.inputs.files()
  assert not caplog.messages
  edit(folder / "test.json", text="0" * 64)
  with caplog.at_level(logging.WARNING):
    inputs = build().data.inputs
    inputs.files()
    # Once, however often they are read.
    inputs.files()
  assert len(caplog.messages) == warns
  for message in caplog.messages:
    assert f"{folder}: expected scenes of the texts of" in message
    assert "of another file for test, whose parses" in message


def test_scenes_of_the_command_have_the_texts_of_the_dataset(
  raw_dir, data_dir, tmp_path, caplog
):
  folder = own_runs.make_scenes(raw_dir, tmp_path / "scenes")
  caplog.clear()
  files = tiny_systems.build("mega", data_dir, folder).data.inputs.files()
  assert store.read_split(folder, "train").manifest["text"]
  assert json.loads(files["scenes.json"])["splits"].keys() == {*schema.SPLITS}
  assert not caplog.messages
