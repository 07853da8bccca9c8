"""Devices and slices of a training step: dropout of their own, one mean."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.output import ModelOutput
from ifa_jax.training import steps


class Noise(nn.Module):
  """Logits that are only noise, from the key of dropout, in training."""

  @nn.compact
  def __call__(self, batch, *, train=False, capture=False):
    """Returns 0 and the noise of each row."""
    weight = self.param("weight", nn.initializers.ones, ())
    noise = jax.random.normal(self.make_rng("dropout"), batch.label.shape)
    noise *= train
    return ModelOutput(jnp.stack([0 * noise, weight * noise], axis=1))


def batch(rows):
  unread = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"))
  unread |= dict.fromkeys(("head_start", "tail_start"))
  label, valid = np.zeros(rows, np.int32), np.ones(rows, bool)
  return Batch(**unread, label=label, valid=valid)


def step(seed=0, **settings):
  return steps.TrainStep(Noise(), optax.sgd(0.1), seed=seed, **settings)


def start(number=0):
  state = steps.start_state({"weight": jnp.float32(1)}, optax.sgd(0.1))
  return state.replace(step=jnp.int32(number))


def noise_key(key):
  """Returns the key that the module draws with."""
  return Noise().apply(
    {}, rngs={"dropout": key}, method=lambda module: module.make_rng("dropout")
  )


def losses(key, rows):
  """Returns the losses of a device's rows with a dropout key."""
  params = {"params": {"weight": jnp.float32(1)}}
  rows = batch(rows)
  output = Noise().apply(params, rows, train=True, rngs={"dropout": key})
  return float(steps.row_sums(output.logits, rows)[0])


def run_on_3_devices(valid):
  """Returns the outcome on each of three devices, and their keys.

  Args:
    valid: bool[3, 2], of their rows.
  """
  # vmap names its axis as pmap does, and needs one device.
  over = {"in_axes": (None, 0), "out_axes": 0, "axis_name": "data"}
  run = jax.jit(jax.vmap(step(axis="data"), **over))
  rows = batch(2).replace(label=np.zeros((3, 2), np.int32), valid=valid)
  root = steps.dropout_key(0, 0)
  return run(start(), rows), [jax.random.fold_in(root, i) for i in range(3)]


def test_each_device_has_its_own_key():
  (_, sums), keys = run_on_3_devices(np.ones((3, 2), bool))
  parts = [losses(key, 2) for key in keys]
  assert len({*parts}) == 3
  assert sums["loss"].tolist() == pytest.approx(3 * [sum(parts)], rel=1e-6)
  assert sums["count"].tolist() == [6, 6, 6]


def test_devices_with_fewer_rows_count_less():
  valid = np.array([[True, False], [True, True], [True, True]])
  (state, sums), keys = run_on_3_devices(valid)
  noise = np.stack([jax.random.normal(noise_key(key), (2,)) for key in keys])
  # Of log(1 + exp(weight noise)), the loss of label 0, at weight 1.
  gradient = (noise / (1 + np.exp(-noise)))[valid].sum() / 5
  assert sums["grad_norm"].tolist() == pytest.approx(3 * [abs(gradient)])
  wanted = 3 * [1 - 0.1 * gradient]
  assert state.params["weight"].tolist() == pytest.approx(wanted)


def test_each_slice_has_its_own_key():
  _, sums = step(num_slices=3)(start(), batch(6))
  root = steps.dropout_key(0, 0)
  parts = [losses(jax.random.fold_in(root, i), 2) for i in range(3)]
  assert len({*parts}) == 3
  assert sums["loss"] == pytest.approx(sum(parts), rel=1e-6)


def test_each_update_and_seed_has_its_own_key():
  keys = [steps.dropout_key(seed, n) for seed in range(3) for n in range(3)]
  assert len({losses(key, 2) for key in keys}) == 9
  places = [(seed, n) for seed in range(2) for n in range(3)]
  found = [float(step(s)(start(n), batch(2))[1]["loss"]) for s, n in places]
  wanted = [losses(steps.dropout_key(*place), 2) for place in places]
  assert found == pytest.approx(wanted, rel=1e-6)


def test_no_key_of_dropout_is_one_of_first_parameters():
  from ifa_jax.models import parameters

  init = parameters.init_key(0)
  theirs = [init, *(jax.random.fold_in(init, n) for n in range(3))]
  ours = [steps.dropout_key(0, number) for number in range(3)]
  seen = {tuple(jax.random.key_data(key).tolist()) for key in theirs + ours}
  assert len(seen) == 7
