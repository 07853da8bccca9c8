"""Checkpoints: which ones are kept, and that they are restored exactly."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ifa_jax.training import steps
from ifa_jax.workdir.checkpoints import Checkpoints

TX = optax.adamw(1e-2)


def fresh():
  params = {
    "text": {"kernel": jnp.zeros((3, 4))},
    "head": {"bias": jnp.zeros(2)},
  }
  return steps.start_state(params, TX)


def state(number):
  """Returns a state with random values in parameters and optimizer alike."""
  rng = np.random.default_rng(number)

  def value(x):
    noise = rng.normal(size=x.shape)
    return np.asarray(noise if x.dtype == np.float32 else number, x.dtype)

  return jax.tree.map(value, fresh())


def save(checkpoints, scores):
  """Saves a state for each step, with the dev F1 given or without scores."""
  for number, f1 in scores.items():
    checkpoints.save(state(number), None if f1 is None else {"f1": f1})


def kept(folder):
  return sorted(int(p.name) for p in pathlib.Path(folder).iterdir())


@pytest.mark.parametrize(
  ("scores", "best", "left"),
  [
    ({1: 0.5, 2: 0.7, 3: 0.6, 4: 0.1}, 2, [2, 3, 4]),
    ({1: 0.5, 2: 0.6}, 2, [1, 2]),
    ({1: 0.5, 2: 0.5, 3: 0.5}, 1, [1, 2, 3]),
    ({1: None, 2: 0.5, 3: None, 4: None}, 2, [2, 3, 4]),
    ({1: 0.4, 2: None, 3: 0.5, 4: None, 5: 0.3, 6: None}, 3, [3, 5, 6]),
    ({1: None, 2: None}, None, [1, 2]),
    ({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, 1, [1, 3, 4]),
  ],
)
def test_the_newest_two_and_the_best_are_kept(tmp_path, scores, best, left):
  with Checkpoints(tmp_path / "runs") as checkpoints:
    save(checkpoints, scores)
    assert checkpoints.newest == max(scores)
    assert checkpoints.best == best
  assert kept(tmp_path / "runs") == left
  with Checkpoints(tmp_path / "runs") as checkpoints:
    assert checkpoints.newest == max(scores)
    assert checkpoints.best == best


def test_a_reopened_run_goes_on_keeping_the_best(tmp_path):
  for scores in ({1: 0.5, 2: 0.7, 3: None}, {4: 0.7, 5: None}, {6: 0.2}):
    with Checkpoints(tmp_path) as checkpoints:
      save(checkpoints, scores)
  assert kept(tmp_path) == [2, 5, 6]


def test_a_state_comes_back_bit_by_bit(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    save(checkpoints, {3: 0.5, 7: None})
  with Checkpoints(tmp_path) as checkpoints:
    for number in (3, 7):
      found = checkpoints.restore(number, jax.eval_shape(fresh))
      assert jax.tree.structure(found) == jax.tree.structure(state(number))
      for ours, wanted in zip(
        jax.tree.leaves(found), jax.tree.leaves(state(number)), strict=True
      ):
        assert type(ours) is np.ndarray
        assert ours.dtype == wanted.dtype
        np.testing.assert_array_equal(ours, wanted)


def test_parameters_come_back_without_the_optimizer(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    save(checkpoints, {3: 0.5})
    found = checkpoints.restore_params(3)
  jax.tree.map(np.testing.assert_array_equal, found, state(3).params)


def test_a_folder_without_checkpoints_has_neither(tmp_path):
  with Checkpoints(tmp_path / "none") as checkpoints:
    assert checkpoints.newest is None
    assert checkpoints.best is None


def test_an_unfinished_checkpoint_is_passed_over(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    save(checkpoints, {1: 0.5})
  partial = tmp_path / "2.orbax-checkpoint-tmp-1700000000000000"
  (partial / "default").mkdir(parents=True)
  (partial / "default" / "_METADATA").write_text("{")
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.newest == checkpoints.best == 1
    save(checkpoints, {2: 0.6})
    assert checkpoints.newest == checkpoints.best == 2
    found = checkpoints.restore(2, jax.eval_shape(fresh))
  np.testing.assert_array_equal(found.step, 2)


def test_a_run_within_an_epoch_is_saved_and_resumed_without_a_warning(
  tmp_path, caplog
):
  with Checkpoints(tmp_path / "runs") as checkpoints:
    checkpoints.save(state(1), window=[{"loss": 0.5}])
  with Checkpoints(tmp_path / "runs") as checkpoints:
    assert checkpoints.window(1) == [{"loss": 0.5}]
    checkpoints.restore(1, fresh())
  assert [x.getMessage() for x in caplog.records if x.levelno >= 30] == []
