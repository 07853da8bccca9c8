"""Processes that are killed outright, and started again."""

import json
import shutil

import command_lines
import jax
import kills
import numpy as np
import pytest
import raw_tree
import tiny_run
import whole_run

from configs import quickstart
from ifa_jax.convert import load_converted

# Remains of a kill, until the next start.
LEFTOVERS = (
  ".preparing-*",
  "*.partial*",
  "*.orbax-checkpoint-tmp*",
  "*.deleted",
)


@pytest.fixture(scope="module")
def killer(compiled_dir):
  with kills.killer(
    [
      "ifa_jax.launch",
      "ifa_jax.training.config.baselines",
      "ifa_jax.training.loop",
      "ifa_jax.data.pipeline.dataset",
      "ifa_jax.preparation.mnre.builder",
      "ifa_jax.preparation.mnre.prepare",
      "ifa_jax.convert.commands.converters",
      "transformers.models.auto.tokenization_auto",
      "orbax.checkpoint",
    ],
    tiny_run.fast_environment(compiled_dir) | {"JAX_PLATFORMS": "cpu"},
  ) as found:
    yield found


@pytest.fixture
def training(data_dir, tmp_path):
  """The command line that gives the run `finished`, in another folder."""
  changes = tiny_run.SECTIONS | {"data": {"data_dir": str(data_dir)}}
  return [
    "launch.py",
    f"--config={quickstart.__file__}",
    f"--workdir={tmp_path / 'run'}",
    *command_lines.flags(changes),
  ]


def check_no_leftovers(folder):
  assert [p for pattern in LEFTOVERS for p in folder.rglob(pattern)] == []


def check_same_run(folder, finished):
  for found, wanted in zip(
    whole_run.outcome(folder), whole_run.outcome(finished.workdir), strict=True
  ):
    assert found == wanted
  check_no_leftovers(folder)


# Training.


def test_a_run_killed_at_any_rename_ends_as_one_left_alone(
  killer, training, finished, thorough, tmp_path
):
  # Each start gets further than the one before it.
  numbers = range(1, 20) if thorough else (4, 7)
  assert killer.run_killed_at_renames(training, numbers) >= 2
  check_same_run(tmp_path / "run", finished)


def test_a_run_killed_at_random_ends_as_one_left_alone(
  killer, training, finished, thorough, tmp_path
):
  if not thorough:
    pytest.skip("needs --thorough")
  assert killer.run_killed_at_random(training, 15, 6, seed=1) > 0
  check_same_run(tmp_path / "run", finished)


# Evaluation.


def test_an_evaluation_killed_at_any_rename(
  killer, finished, data_dir, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)
  names = [f"{kind}_test" for kind in ("eval", "predictions")]
  paths = [p for p in folder.iterdir() if p.stem in names]
  wanted = {path: path.read_bytes() for path in paths}
  for path in paths:
    path.unlink()
  command = ["launch.py", "--mode=evaluate", f"--workdir={folder}"]
  assert killer.run_killed_at_renames(command, (1, 2)) == 2
  assert {path: path.read_bytes() for path in paths} == wanted
  check_no_leftovers(folder)


# Preparation.


def contents(folder):
  """Returns path -> contents of a file: its rows, or its bytes."""
  return {
    path.relative_to(folder): rows(path)
    if "tfrecord" in path.name
    else path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def rows(path):
  """Returns the rows of a shard; each process has its order of features."""
  import tensorflow as tf

  found = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
  return [tf.train.Example.FromString(row) for row in found]


@pytest.fixture
def preparation(raw_dir, tmp_path):
  """A command line that prepares the session's tree again."""
  sizes = tiny_run.GEOMETRY | {"text_len": 40, "num_workers": 1}
  return [
    "data_prep/mnre.py",
    f"--raw_dir={raw_dir}",
    f"--data_dir={tmp_path / 'data'}",
    "--protocol=clean",
    f"--boxes={raw_dir / 'boxes.json'}",
    f"--captions={raw_dir / 'captions.json'}",
    f"--tokenizer={raw_dir / 'tokenizer'}",
    *(f"--{name}={value}" for name, value in sizes.items()),
  ]


def test_a_preparation_killed_at_any_rename_or_moment(
  killer, preparation, data_dir, thorough, tmp_path
):
  folder = tmp_path / "data"
  assert killer.run(preparation, renames=1).is_killed
  assert [p for p in folder.rglob("*") if p.suffix == ".json"] != []
  # Between the two: the old one has been moved away.
  shutil.copytree(data_dir, folder, dirs_exist_ok=True)
  other = [*preparation, "--overwrite", "--text_len=39"]
  assert killer.run(other, renames=2).is_killed
  if thorough:
    killer.run_killed_at_random(other, 8, 3, seed=2)
  killer.run([*preparation, "--overwrite"])
  assert contents(folder) == contents(data_dir)
  assert [p.name for p in folder.iterdir()] == ["mnre"]


# Conversion.


@pytest.fixture
def conversion(tmp_path):
  """A command line that converts a text encoder."""
  import hf_models

  from ifa_jax.data.text.tokenizer import Tokenizer

  raw_tree.write_tokenizer(tmp_path / "text")
  model = hf_models.make("BertModel")
  model.resize_token_embeddings(Tokenizer.load(tmp_path / "text").vocab_size)
  model.save_pretrained(tmp_path / "text")
  return [
    "ifa_jax/convert/__main__.py",
    "huggingface",
    f"--text={tmp_path / 'text'}",
  ]


def test_a_conversion_killed_at_any_rename(
  killer, conversion, thorough, tmp_path
):
  alone = killer.run([*conversion, f"--out={tmp_path / 'alone'}"])
  out = tmp_path / "out"
  killed = [*conversion, f"--out={out}"]
  last = alone.renames
  assert last > 1
  for number in range(1, last + 1) if thorough else (last,):
    assert killer.run(killed, renames=number).is_killed
    assert not out.exists()
  if thorough:
    # A machine that grows quicker may have done it by then.
    ended = killer.run(killed, seconds=0.6 * alone.seconds)
    assert ended.is_killed == (not out.exists())
  killer.run(killed)
  check_no_leftovers(tmp_path)
  found, wanted = (load_converted(tmp_path / x) for x in ("out", "alone"))
  assert found[0] == wanted[0]
  jax.tree.map(np.testing.assert_array_equal, found[1], wanted[1])
  assert found[2] == wanted[2]
  record = (out / "provenance.json").read_text()
  assert json.loads(record)["versions"]["jax"] == jax.__version__
