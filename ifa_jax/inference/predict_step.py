"""The step that predicts one's own posts: a batch of them, or one at once.

A batch of posts is as a run evaluates it. One post alone must not wait for what
it does not have, so its text is padded by a few tokens at most, and pictures
and crops that are absent are left out.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax import models
from ifa_jax.batch import Batch, drop_absent, trim_text
from ifa_jax.models.base import System
from ifa_jax.models.parameters import read_kernels, store_kernels
from ifa_jax.training.eval_step import EvalStep

# Of one post's text: each length is compiled once, and seven tokens at most
# are padding.
_TOKENS = 8


class PredictionStep:
  """Predicts batches of posts with one set of parameters, on one device.

  Compiles for each length of text and each choice of pictures that it meets.
  """

  def __init__(self, model: System, params: Any, text_buckets: Sequence[int]):
    """Moves the parameters to the device; compiles nothing yet.

    Args:
      model: whose parameters they are.
      params: arrays, as a checkpoint has them.
      text_buckets: lengths that a batch of several posts may be padded to.
    """
    self._model = model
    self._text_buckets = text_buckets
    self._stored = jax.device_put(store_kernels(params, model.dtype))
    self._step = self.bind(EvalStep(models.build(model)))

  def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a pure function of parameters and batches.

    Returns:
      The function of the batches alone, with these parameters.
    """
    read = functools.partial(read_kernels, dtype=self._model.dtype)
    compiled = jax.jit(lambda p, *batches: function(read(p), *batches))
    return functools.partial(compiled, self._stored)

  def __call__(self, batch: Batch) -> np.ndarray:
    """Returns the relations' probabilities, float32[B, C]."""
    return np.asarray(self.start(batch))

  def start(self, batch: Batch) -> jax.Array:
    """Returns the same, while the device may still compute it."""
    return self._step(self.shrink(batch))

  def shrink(self, batch: Batch) -> Batch:
    """Returns a numpy batch without what bears on no prediction of it."""
    if not self._model.sees_padding:
      text_len = batch.input_ids.shape[1]
      alone = len(batch.input_ids) == 1
      short = range(_TOKENS, text_len, _TOKENS) if alone else self._text_buckets
      batch = trim_text(batch, short)
    return batch if self._model.sees_absent else drop_absent(batch)
