"""What no checkpoint brings, as a new run with the same seed starts it."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.models import parameters
from ifa_jax.models.base import System

_WORDS = "text/embed/word/embedding"


def complete(
  params: Mapping[str, np.ndarray], config: System, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Adds freshly started parameters to a checkpoint's.

  Args:
    params: path -> float32 array. The word table may be short of its last rows,
      those of the entity markers.
    config: of a model with a text stream.
    seed: of what is initialised.

  Returns:
    Path -> float32 array of all that the model has, and the paths of what is
    fresh, rows of the word table named with it.
  """
  none = np.zeros((0, config.text.hidden_dim), np.float32)
  words = params.get(_WORDS, none)
  missing = [
    path
    for path in parameters.param_shapes(config)
    if path not in params or path == _WORDS
  ]
  fresh = _start(config, missing, seed)
  fresh[_WORDS] = np.concatenate([words, fresh[_WORDS][len(words) :]])
  named = [path for path in missing if path != _WORDS]
  if len(words) < config.text.vocab_size:
    last = config.text.vocab_size - 1
    named.append(f"{_WORDS}, rows {len(words)} to {last}")
  return {**params, **fresh}, sorted(named)


def _start(
  config: System, paths: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
  """Returns some of the parameters that a run with this seed starts from."""

  def some():
    params = parameters.init_params(config, parameters.init_key(seed))
    flat = traverse_util.flatten_dict(params, sep="/")
    return {path: flat[path] for path in paths}

  # Compiled, it computes none of the others.
  return {path: np.array(x) for path, x in jax.jit(some)().items()}
