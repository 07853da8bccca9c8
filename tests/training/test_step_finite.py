"""Updates that are not finite are not made; counts advance."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.output import ModelOutput
from ifa_jax.training import steps


class Bent(nn.Module):
  """Logits (0, height + slope * weight) of each row."""

  height: float
  slope: float

  @nn.compact
  def __call__(self, batch, *, train=False, capture=False):
    """Returns them."""
    weight = self.param("weight", nn.initializers.ones, ())
    logit = self.height + self.slope * weight
    return ModelOutput(jnp.tile(jnp.stack([0.0, logit]), (2, 1)))


# The sum of two losses overflows; the gradient is 1.
HIGH = Bent(height=2e38, slope=1.0)
# The loss is 0.69 a row; the gradient's square overflows.
STEEP = Bent(height=-1e25, slope=1e25)
GOOD = Bent(height=0.0, slope=1.0)
TX = optax.chain(
  optax.trace(0.9), optax.scale_by_learning_rate(lambda step: 0.1 / (1 + step))
)


def update(model):
  """Returns the states before and after an update, and its metrics."""
  unread = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"))
  unread |= dict.fromkeys(("head_start", "tail_start"))
  label, valid = np.zeros(2, np.int32), np.ones(2, bool)
  before = steps.start_state({"weight": jnp.float32(1)}, TX)
  step = jax.jit(steps.TrainStep(model, TX, seed=0))
  return before, *step(before, Batch(**unread, label=label, valid=valid))


def moments(state):
  """Returns the running mean of the gradients, and the schedule's count."""
  trace, schedule = state.opt_state
  return float(trace.trace["weight"]), int(schedule.count)


@pytest.mark.parametrize("model", [HIGH, STEEP], ids=["loss", "norm"])
def test_an_update_is_not_made_for_either_that_is_not_finite(model):
  before, after, sums = update(model)
  assert np.isfinite(sums["loss"]) == (model is STEEP)
  assert np.isfinite(sums["grad_norm"]) == (model is HIGH)
  assert not sums["finite"]
  assert after.params == before.params
  assert moments(before) == (0, 0)
  # The step counts, and so does the schedule.
  assert moments(after) == (0, 1)
  assert after.step == 1


def test_a_finite_update_is_made():
  _, after, sums = update(GOOD)
  gradient = 1 / (1 + np.exp(-1))
  assert sums["finite"]
  assert moments(after) == (pytest.approx(gradient), 1)
  assert after.params["weight"] == pytest.approx(1 - 0.1 * gradient)
