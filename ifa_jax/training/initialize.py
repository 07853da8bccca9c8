"""Creates the initial training state: random, pretrained, or restored."""

import functools
import logging
import os
import shlex
import sys
from collections.abc import Iterable
from concurrent import futures
from typing import Any

import jax
from flax import traverse_util

from ifa_jax.models import parameters
from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.runtime import collectives
from ifa_jax.training import optimizer, pretrained
from ifa_jax.training.experiment import Experiment
from ifa_jax.training.steps import start_state
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.state import TrainState

_log = logging.getLogger("ifa_jax")


class Start:
  """Creates states of an experiment.

  Attributes:
    tx: its optimizer.
  """

  def __init__(self, experiment: Experiment):
    """Builds the optimizer; computes nothing yet.

    Raises:
      ValueError: for `train.remat` without scanned layers, or a batch that the
        devices cannot split.
    """
    experiment.check_devices()
    self._experiment = experiment
    # One traced function gives both the shapes and the state.
    self._init = jax.jit(self._init_params)
    shapes = self._init.eval_shape()
    settings, steps = experiment.config.optim, experiment.epochs.schedule_steps
    self._layout = optimizer.choose_layout(experiment.scans, settings, shapes)
    if experiment.config.train.remat and not self._layout.stacked:
      raise ValueError(
        "train.remat: expected scanned layers (train.scan_layers, and all but"
        " the last in the same of optim.groups), got layers apart"
      )
    if settings.warmup_steps >= steps and collectives.is_first():
      _log.warning(
        "optim.warmup_steps: the learning rate rises for %d updates, of which"
        " the run makes %d; it never decays",
        *(settings.warmup_steps, steps),
      )
    self.tx = optimizer.make_optimizer(settings, shapes, steps, self._layout)

  @functools.cached_property
  def _plan(self) -> pretrained.Plan:
    shapes: dict[str, Any] = traverse_util.flatten_dict(
      self._init.eval_shape(), sep="/"
    )
    return pretrained.plan(
      self._experiment.config.weights,
      {path: leaf.shape for path, leaf in shapes.items()},
      self._experiment.config.model.system,
      self._experiment.prepared.relations,
    )

  def origin(self) -> list[str]:
    """Returns a line for each source of the initial parameters.

    Raises:
      ValueError: for pretrained weights that do not fit the model.
    """
    words = self._experiment.data.inputs.word_vectors_file
    if not words:
      return self._plan.lines()
    others = [x for x in self._plan.drawn if not x.startswith("word/")]
    return [f"word: {words}", *self._plan._replace(drawn=others).lines()]

  def record(self) -> dict[str, Any]:
    """Returns the entries of `config.json` that describe the start."""
    weights = self._experiment.config.weights
    return {
      "command": _command_line(),
      "start": self.origin(),
      "pretrained": pretrained.record(weights),
    }

  def fresh(self) -> TrainState:
    """Returns the state before the first update, on the devices."""
    experiment = self._experiment
    create = experiment.parallel.create
    if weights := self._plan.folder and experiment.config.weights:
      pretrained.check_same_everywhere(weights)
    _log.info("Starting from\n  %s", "\n  ".join(self.origin()))
    if self._plan.folder or experiment.config.model.reads_words:
      return create(self._state_of, self.first_params())
    # Compiling the program and importing TensorFlow take about as long: do both
    # at the same time.
    with futures.ThreadPoolExecutor(1) as pool:
      state = pool.submit(create, lambda: self._state_of(self.first_params()))
      experiment.data.split("train")
      return state.result()

  def saved(self, checkpoints: Checkpoints, step: int) -> TrainState:
    """Returns the state of a checkpoint, numpy arrays."""
    like = jax.eval_shape(lambda: self._state_of(self._init()))
    # Checkpoints have every layer apart, whatever the layout of training.
    like = jax.eval_shape(APART.convert, like)
    return self._layout.convert(checkpoints.restore(step, like))

  def first_params(self) -> Any:
    """Returns the initial parameters: arrays, pretrained or random."""
    if self._plan.folder:
      params = pretrained.start_params(self._plan, self._draw)
    else:
      params = self._init()
    return self._experiment.data.inputs.start_params(params)

  def _draw(self, paths: Iterable[str]) -> dict[str, jax.Array]:
    """Returns fresh parameters of some paths."""

    # XLA drops the computation of all other parameters.
    def draw():
      flat = traverse_util.flatten_dict(self._init_params(), sep="/")
      return {path: flat[path] for path in paths}

    return jax.jit(draw)()

  def _init_params(self) -> Any:
    config = self._experiment.config
    rng = parameters.init_key(config.seed)
    return parameters.init_params(config.model, rng)

  def _state_of(self, params: Any) -> TrainState:
    return start_state(self._layout.convert(params), self.tx)


def _command_line() -> str | None:
  """Returns the command of this process as a user types it.

  None for a process that is no command of the project, such as a notebook's.
  """
  # Not sys.argv, where paths have replaced the names of configs.
  program, *arguments = sys.orig_argv[1:] or [""]
  name = os.path.basename(program)
  as_module = program == "-m" and arguments[0].startswith("ifa_jax.")
  if name == "launch.py" or as_module:
    return shlex.join(["python", program, *arguments])
  return shlex.join([name, *arguments]) if name.startswith("ifa-") else None
