"""The state that training starts from, as `ifa_jax.train` lays it out."""

from collections.abc import Mapping
from typing import Any

import jax
import optax

from ifa_jax import optim
from ifa_jax.models import parameters
from ifa_jax.models.stacking import stack_layers
from ifa_jax.models.system import System
from ifa_jax.step import TrainState, start_state


def make(
  model: System, settings: Mapping[str, Any], num_steps: int
) -> tuple[TrainState, optax.GradientTransformation]:
  """Returns a fresh state, and the optimizer that it is of.

  Args:
    model: whose parameters are drawn.
    settings: a config's `optim` section.
    num_steps: updates until the rate is 0.
  """
  shapes = parameters.abstract_params(model)
  stacked = model.scans_layers and optim.layers_alike(settings, shapes)
  tx = optim.make_optimizer(settings, shapes, num_steps, stacked)

  def start(key):
    params = parameters.init_params(model, key)
    return start_state(stack_layers(params) if stacked else params, tx)

  return jax.jit(start)(jax.random.key(0)), tx
