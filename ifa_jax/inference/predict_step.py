"""The compiled step that predicts a batch of posts, or a single one.

A batch is padded as in evaluation. For low latency, the text of a single post
is padded by a few tokens at most, and absent pictures and crops are removed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ifa_jax import models
from ifa_jax.batch import Batch, drop_absent, trim_captions, trim_text
from ifa_jax.models.base import System
from ifa_jax.models.parameters import read_kernels, store_kernels
from ifa_jax.training.eval_step import EvalStep

# Lengths of a single post are multiples of this: each is compiled once, and at
# most seven tokens are padding.
_TOKENS = 8


class PredictionStep:
  """Predicts batches of posts with one set of parameters, on one device.

  Compiles once for each text length and set of pictures that occurs.
  """

  def __init__(self, model: System, params: Any, text_buckets: Sequence[int]):
    """Moves the parameters to the device.

    Args:
      model: config of the model.
      params: arrays of a checkpoint.
      text_buckets: padded lengths of a batch of several posts.
    """
    self._model = model
    self._text_buckets = text_buckets
    self._stored = jax.device_put(store_kernels(params, model.dtype))
    self._step = self.bind(EvalStep(models.build(model)))

  def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of (params, *batches) as one of the batches."""
    read = functools.partial(read_kernels, dtype=self._model.dtype)
    compiled = jax.jit(lambda p, *batches: function(read(p), *batches))
    return functools.partial(compiled, self._stored)

  def __call__(self, batch: Batch) -> jax.Array:
    """Returns float32[B, C], without waiting for the device."""
    return self._step(self.shrink(batch))

  def shrink(self, batch: Batch) -> Batch:
    """Removes padding and absent pictures that affect no prediction."""
    if not self._model.sees_padding:
      text_len = batch.input_ids.shape[1]
      alone = len(batch.input_ids) == 1
      short = range(_TOKENS, text_len, _TOKENS) if alone else self._text_buckets
      batch = trim_captions(trim_text(batch, short))
    return batch if self._model.sees_absent else drop_absent(batch)
