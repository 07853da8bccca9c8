"""Datasets, runs and converted weights of earlier versions still read.

`tests/support/data/aeda48d` has a dataset of 24 generated posts, a run of three
updates on it, and converted weights of a toy model, written at that commit.
"""

import dataclasses
import json
import os
import shutil
import tarfile

import command_lines
import pytest
import tiny
import tiny_run

from ifa_jax.convert import load_converted
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training import experiment, loop
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

ARCHIVE = command_lines.SCRIPTS.parent / "data" / "aeda48d" / "files.tar.xz"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="old")
def unpacked_files(tmp_path_factory):
  folder = tmp_path_factory.mktemp("old")
  with tarfile.open(ARCHIVE) as archive:
    archive.extractall(folder, filter="data")
  return folder


@pytest.fixture(scope="module", name="built")
def experiment_of_the_run(old):
  config = run_record.read(RunFolder(old / "run"))
  data = dataclasses.replace(config.data, data_dir=str(old / "data"))
  return experiment.build(dataclasses.replace(config, data=data))


def test_a_run_is_evaluated_as_it_was(old, built, fast_compilation, tmp_path):
  shutil.copytree(old / "run", tmp_path / "run")
  for name in ("eval_test.json", "predictions_test.jsonl"):
    os.remove(tmp_path / "run" / name)
  scores = loop.run(built, str(tmp_path / "run"))
  wanted = json.loads((old / "run" / "eval_test.json").read_text())
  assert scores["step"] == wanted["step"]
  rows, before = (
    tiny_run.read_lines(folder / "run" / "predictions_test.jsonl")
    for folder in (tmp_path, old)
  )
  for row, earlier in zip(rows, before, strict=True):
    assert row["probabilities"] == pytest.approx(
      earlier["probabilities"], abs=1e-5
    )


def test_a_run_predicts(old, fast_compilation):
  post = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme"}
  predicted = Predictor(old / "run").predict(post)
  assert sum(predicted["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_the_setting_of_random_weights_had_no_name(old, built):
  """The same command asks for "random" now, and is not another run."""
  folder, metadata = RunFolder(old / "run"), built.prepared.metadata
  assert built.config.weights == "random"
  run_record.claim(folder, built.config, metadata)
  other = dataclasses.replace(built.config, weights="text=a")
  with pytest.raises(
    ValueError, match=r"weights: expected 'random' as recorded, got 'text=a'"
  ):
    run_record.claim(folder, other, metadata)


def test_converted_weights_are_those_that_were_written(old):
  config, params, info = load_converted(old / "converted")
  assert config == tiny.tiny_config()
  assert info["initialised"] == ["relation_head/kernel"]
  wanted = tiny.perturbed_params(config, 3)
  assert params.keys() == wanted.keys()
  found = params["text"]["embed"]["word"]["embedding"]
  assert (found == wanted["text"]["embed"]["word"]["embedding"]).all()
