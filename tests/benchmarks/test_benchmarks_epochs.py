"""Whole epochs on made posts, and the command that measures everything."""

import json
import sys

import jax
import numpy as np
import pytest

from benchmarks import accelerator, epoch_run, epochs, lengths
from benchmarks.made_split import MadeSplit
from ifa_jax import benchmark
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.runtime.data_parallel import make_parallel

pytestmark = pytest.mark.slow

TINY = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32}


@pytest.fixture
def settings(monkeypatch):
  monkeypatch.setitem(benchmark.SIZES, "toy", TINY)
  return epoch_run.Settings(
    size="toy",
    visual_tokens="61",
    dtype="float32",
    num_rows=(20, 7, 5),
    epochs=2,
    batch_size=8,
    eval_batch_size=4,
  )


def test_a_split_gives_every_row_once_with_its_own_pictures(settings):
  parallel, model = make_parallel("jit"), settings.model
  split = MadeSplit(model, 5, lengths.MNRE, 80, parallel)
  whole = next(split.batches(np.arange(5)[None], ()))
  first, second = split.batches(np.array([[3, 0, 4], [2, 1, -1]]), (48,))
  assert [*first.valid, *second.valid] == [True] * 5 + [False]
  assert first.input_ids.shape == (3, 48)
  for batch, rows in ((first, [3, 0, 4]), (second, [2, 1])):
    for name in ("grounded", "detected", "label", "head_start"):
      got, want = (np.asarray(getattr(x, name)) for x in (batch, whole))
      np.testing.assert_array_equal(got[: len(rows)], want[rows])
  assert isinstance(first.grounded, jax.Array)
  assert first.image is None
  assert split.num_picture_bytes == 5 * 3 * 3 * (128**2 + 64**2)


def test_epochs_are_run_and_timed(settings, monkeypatch):
  run = epoch_run.EpochRun(settings)
  monkeypatch.setattr(epoch_run, "EpochRun", lambda _: run)
  found = epoch_run.measure(settings, seconds=0.0)
  json.dumps(found)
  # Three updates an epoch; then one of each length again, for its time.
  assert orders.num_batches(20, 8) == 3
  assert int(run._state.step) == 2 * 3 + len(run._seen)
  losses = [epoch["loss"] for epoch in found["epochs"]]
  assert np.allclose(losses, np.log(23), atol=1)
  assert losses[0] != losses[1]
  parts = [epoch["train"] + epoch["dev"] for epoch in found["epochs"]]
  assert sum(parts) < found["total_seconds"]
  share = found["step_seconds_of_an_epoch"] / found["epochs"][1]["train"]
  assert found["share_in_steps"] == pytest.approx(share)
  assert 0 <= run.evaluate(run.test)["f1"] <= 1
  # At two updates a second.
  monkeypatch.setattr(benchmark, "steps_per_second", lambda *_: 2.0)
  assert run.step_seconds(0.0) == 3 / 2


@pytest.mark.parametrize("rows", [["1", "2"], ["1", "0", "2"], ["1", "x", "2"]])
def test_numbers_of_rows_are_checked(rows):
  with pytest.raises(ValueError, match="--num_rows: want three numbers from 1"):
    epochs.read_num_rows(rows)


def test_what_fails_does_not_stop_the_rest(tmp_path, capfd):
  script = "import os, sys; print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
  lines = {
    "training": [sys.executable, "-c", "raise SystemExit(3)"],
    "epochs": [sys.executable, "-c", script],
  }
  assert accelerator.run_all(lines, str(tmp_path)) == ["training"]
  out = capfd.readouterr().out
  assert "training: status 3" in out
  assert f"\n{tmp_path}\nepochs: status 0" in out


def test_every_part_is_a_command_with_a_file_of_its_own(tmp_path):
  values = {
    "size": "toy",
    "dtype": "float32",
    "batch_size": 8,
    "rows": "ours,eager",
    "seconds": 1.0,
    "num_rows": "4,2,2",
    "epochs": 2,
  }
  lines = accelerator.command_lines(values, "found")
  assert tuple(lines) == accelerator.PARTS
  assert len({line[-1] for line in lines.values()}) == len(lines)
  assert "--rows=ours,eager" in lines["inference"]
  assert "--rows=ours,eager" not in lines["epochs"]
