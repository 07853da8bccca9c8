"""Whole epochs of random posts, and the command that runs all benchmarks."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from benchmarks import accelerator, epochs, random_posts
from ifa_jax import benchmark
from ifa_jax.data.pipeline import sampling
from ifa_jax.runtime.forms import make_parallel

pytestmark = pytest.mark.slow

TINY = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32}


@pytest.fixture
def settings(monkeypatch):
  monkeypatch.setitem(benchmark.SIZES, "toy", TINY)
  return epochs.Settings(
    size="toy",
    dtype="float32",
    num_rows=(20, 7, 5),
    epochs=2,
    batch_size=8,
    seconds=0.0,
  )


@pytest.mark.usefixtures("settings")
def test_a_split_has_each_row_once_with_its_own_pictures():
  parallel = make_parallel("jit")
  model = random_posts.make_model("toy", "float32", "61")
  split = epochs.Split(model, 5, parallel)
  (whole,) = split.batches(np.arange(5)[None])
  first, second = split.batches(np.array([[3, 0, 4], [2, 1, sampling.FILLER]]))
  assert [*first.valid, *second.valid] == [True] * 5 + [False]
  assert first.input_ids.shape == (3, 44)
  for batch, rows in ((first, [3, 0, 4]), (second, [2, 1])):
    for name in ("grounded", "detected", "label", "head_start"):
      found, expected = (np.asarray(getattr(x, name)) for x in (batch, whole))
      np.testing.assert_array_equal(found[: len(rows)], expected[rows])
  assert isinstance(first.grounded, jax.Array)
  assert first.image is None
  assert split.num_picture_bytes == 5 * 3 * 3 * (128**2 + 64**2)


def test_epochs_are_run_and_timed(settings, monkeypatch):
  training = epochs.Training(settings)
  monkeypatch.setattr(epochs, "Training", lambda _: training)
  found = epochs.measure(settings)
  json.dumps(found)
  # Three updates per epoch; then one of each length again, for its time.
  assert int(training._state.step) == 2 * 3 + len(training._batch_of)
  losses = [epoch["loss"] for epoch in found["epochs"]]
  assert np.allclose(losses, np.log(23), atol=1)
  assert losses[0] != losses[1]
  parts = [epoch["train"] + epoch["dev"] for epoch in found["epochs"]]
  assert sum(parts) < found["total_seconds"]
  share = found["step_seconds_of_an_epoch"] / found["epochs"][1]["train"]
  assert found["share_in_steps"] == pytest.approx(share)
  assert 0 <= training.evaluate(training.test)["f1"] <= 1
  # At two updates per second.
  monkeypatch.setattr(benchmark, "steps_per_second", lambda *_: 2.0)
  assert training.step_seconds(0.0) == 3 / 2


def test_three_splits_are_needed(settings):
  with pytest.raises(ValueError, match="--num_rows: expected three numbers"):
    epochs.Training(dataclasses.replace(settings, num_rows=(1, 2)))


def test_other_parts_run_after_one_has_failed(tmp_path, capfd):
  script = "import os, sys; print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
  lines = {
    "training": [sys.executable, "-c", "raise SystemExit(3)"],
    "epochs": [sys.executable, "-c", script],
  }
  assert accelerator.run_all(lines, str(tmp_path)) == ["training"]
  out = capfd.readouterr().out
  assert "training: status 3" in out
  assert f"\n{tmp_path}\nepochs: status 0" in out


def test_each_part_is_a_command_with_its_own_file():
  settings = accelerator.Settings(
    out="found", rows=("ours", "eager"), size="toy"
  )
  lines = accelerator.command_lines(settings)
  assert tuple(lines) == accelerator.PARTS
  assert len({line[-1] for line in lines.values()}) == len(lines)
  assert {"--rows=ours,eager", "--task=predict"} <= {*lines["inference"]}
  assert {"--epochs=2", "--batch_size=256"} <= {*lines["epochs"]}
  some = dataclasses.replace(settings, only=("epochs",))
  assert accelerator.command_lines(some) == {"epochs": lines["epochs"]}
