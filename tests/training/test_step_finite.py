"""Updates that are not finite are not made; counts advance."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optim_section
import pytest
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.output import ModelOutput
from ifa_jax.training import optimizer, steps


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
NAN = Bent(height=float("nan"), slope=1.0)

PARAMS = {"weight": jnp.float32(1)}
OPTIM = {
  "groups": {"all": {"pattern": ".*", "peak_lr": 0.1}},
  "warmup_percent": 0.0,
  "decay_exclude": "",
  "clip_norm": 0.0,
}
TX = optimizer.make_optimizer(optim_section.read(OPTIM), PARAMS, num_steps=8)


def update(model):
  """Returns the states before and after an update, and its metrics."""
  unread = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"))
  unread |= dict.fromkeys(("head_start", "tail_start"))
  label, valid = np.zeros(2, np.int32), np.ones(2, bool)
  before = steps.start_state(PARAMS, TX)
  step = jax.jit(steps.TrainStep(model, TX, seed=0))
  return before, *step(before, Batch(**unread, label=label, valid=valid))


def changed(after, before):
  """Returns the paths in the optimizer's state that differ."""
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(after.opt_state),
    jax.tree.leaves(before.opt_state),
    strict=True,
  )
  return [
    jax.tree_util.keystr(path)
    for (path, new), old in pairs
    if not np.array_equal(new, old)
  ]


def schedule_counts(state):
  """Returns the counts of the schedules in the optimizer's state."""
  counts = lambda x: isinstance(x, optax.ScaleByScheduleState)  # noqa: E731
  nodes = jax.tree.leaves(state.opt_state, is_leaf=counts)
  return [int(node.count) for node in nodes if counts(node)]


@pytest.mark.parametrize(
  "model", [HIGH, STEEP, NAN], ids=["loss", "norm", "nan"]
)
def test_an_update_is_not_made_for_either_that_is_not_finite(model):
  before, after, sums = update(model)
  assert np.isfinite(sums["loss"]) == (model is STEEP)
  assert np.isfinite(sums["grad_norm"]) == (model is HIGH)
  assert not sums["finite"]
  assert after.params == before.params
  # The step counts, and so does the schedule; the moments stay.
  assert len(changed(after, before)) == 1
  assert schedule_counts(after) == [1]
  assert after.step == 1


def test_a_finite_update_is_made():
  before, after, sums = update(GOOD)
  assert sums["finite"]
  assert len(changed(after, before)) > 1
  assert schedule_counts(after) == [1]
  # Adam's first update is the rate, and the weight decays by a hundredth of it.
  wanted = 1 - 0.1 * 1.01
  assert after.params["weight"] == pytest.approx(wanted, rel=1e-4)
