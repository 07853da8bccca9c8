"""The benchmark command runs the real update and reports its figures."""

import json

import command_lines
import jax
import numpy as np
import pytest

from ifa_jax import benchmark
from ifa_jax.models import build, parameters
from ifa_jax.training import steps

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", benchmark.ROWS)
def test_every_row_reads_a_random_batch_of_its_own(row):
  model = benchmark.make_model(row, "toy", "float32")
  batch = benchmark.random_batch(model, rows=2, text_len=8)
  shapes = jax.eval_shape(
    lambda key, batch: steps.row_sums(
      build(model)
      .apply({"params": parameters.init_params(model, key)}, batch)
      .logits,
      batch,
    ),
    jax.random.key(0),
    batch,
  )
  assert shapes[0].shape == ()
  assert batch.valid.all()
  assert len({*batch.input_ids.ravel()}) > 8
  assert (batch.regions is None) == (model.regions is None)


def test_base_is_the_published_size():
  for row, count in (("mtb", 111_290_903), ("objects", 196_430_615)):
    model = benchmark.make_model(row, "base", "float32")
    assert parameters.count_params(model) == count


def test_rows_take_turns():
  turns = []

  def runner(row, rates):
    def run():
      turns.append(row)
      return rates.pop(0)

    return run

  runs = {"a": runner("a", [1.0, 3.0]), "b": runner("b", [2.0, 4.0])}
  assert benchmark.take_turns(runs, 2) == {"a": [1, 3], "b": [2, 4]}
  assert turns == ["a", "b", "a", "b"]


def test_an_update_is_made_and_counted():
  model = benchmark.make_model("pcnn", "toy", "float32")
  batch = benchmark.random_batch(model, rows=8, text_len=8)
  runner = benchmark.Runner(model, batch, "jit")
  before = jax.tree.map(np.array, runner._state.params)
  made = int(runner._state.step)
  rate = runner.run(0.05)
  updates = int(runner._state.step) - made
  assert updates >= 1
  assert 0 < rate <= updates * 8 / 0.05
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(), before, runner._state.params
  )
  assert max(jax.tree.leaves(moved)) > 0


def test_the_command_prints_a_table_and_writes_its_figures(tmp_path):
  path = tmp_path / "found.json"
  flags = ["--rows=mtb,pcnn", "--size=toy", "--rounds=2", "--seconds=0.01"]
  flags += ["--batch_size=4", "--text_len=8", f"--out={path}"]
  file = "ifa_jax/benchmark.py"
  outcomes = command_lines.run_all(
    {"right": [file, *flags], "wrong": [file, "--rows=mtb,mtbb"]}
  )
  assert outcomes["right"].status == 0, outcomes["right"].err
  assert "examples/s" in outcomes["right"].out
  found = json.loads(path.read_text())
  assert {k: len(v) for k, v in found["examples_per_second"].items()} == {
    "mtb": 2,
    "pcnn": 2,
  }
  assert found["machine"]["versions"]["jax"] == jax.__version__
  assert outcomes["wrong"].status == 1
  assert "got mtbb" in outcomes["wrong"].err
