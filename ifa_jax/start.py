"""What training begins with: a state that is fresh, pretrained or saved."""

from collections.abc import Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from ifa_jax import optim, weights
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.experiment import Experiment
from ifa_jax.models import parameters, stacking
from ifa_jax.step import INIT, TrainState, purpose_key, start_state


class Start:
  """Makes states of an experiment.

  Attributes:
    tx: its optimizer.
  """

  def __init__(self, experiment: Experiment):
    """Builds the optimizer; computes nothing yet.

    Raises:
      ValueError: for `train.remat` where layers are not scanned.
    """
    self._experiment = experiment
    # Traced once, for the shapes as for the state.
    self._init = jax.jit(self._init_params)
    shapes = self._init.eval_shape()
    settings, steps = experiment.config["optim"], experiment.schedule_steps
    self._stacked = experiment.scans and optim.layers_alike(settings, shapes)
    if experiment.config["train"].get("remat") and not self._stacked:
      raise ValueError(
        "train.remat: want layers that are scanned (train.scan_layers, and all"
        " but the last in the same of optim.groups), found layers apart"
      )
    self.tx = optim.make_optimizer(settings, shapes, steps, self._stacked)

  def fresh(self) -> TrainState:
    """Returns the state before the first update; the device draws it.

    Its program loads in a thread, and TensorFlow beside it.
    """
    experiment = self._experiment
    if experiment.config["weights"] or experiment.model_config.reads_words:
      return jax.jit(self._state_of)(self.first_params())
    draw = jax.jit(lambda: self._state_of(self.first_params()))
    with futures.ThreadPoolExecutor(1) as beside:
      state = beside.submit(draw)
      experiment.split("train")
      return state.result()

  def saved(self, checkpoints: Checkpoints, step: int) -> TrainState:
    """Returns the state of a checkpoint, numpy arrays."""
    like = jax.eval_shape(lambda: self._state_of(self._init()))
    like = jax.eval_shape(stacking.unstack_layers, like)
    state = checkpoints.restore(step, like)
    return stacking.stack_layers(state, np.stack) if self._stacked else state

  def first_params(self) -> Any:
    """Returns what the run starts from: arrays, pretrained or fresh."""
    folder = self._experiment.config["weights"]
    if folder:
      system = self._experiment.model_config.system
      shapes = self._init.eval_shape()
      params = weights.start_params(folder, shapes, self._draw, system)
    else:
      params = self._init()
    return self._experiment.inputs.start_params(params)

  def _draw(self, paths: Sequence[str]) -> dict[str, jax.Array]:
    """Returns fresh parameters of some paths; the others are not drawn."""

    def draw():
      flat = traverse_util.flatten_dict(self._init_params(), sep="/")
      return {path: flat[path] for path in paths}

    return jax.jit(draw)()

  def _init_params(self) -> Any:
    rng = purpose_key(self._experiment.config["seed"], INIT)
    return parameters.init_params(self._experiment.model_config, rng)

  def _state_of(self, params: Any) -> TrainState:
    if self._stacked:
      params = stacking.stack_layers(params)
    return start_state(params, self.tx)
