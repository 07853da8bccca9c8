"""Parameters that no checkpoint has, initialised as in a new run."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.cli.settings_flags import setting
from ifa_jax.models import parameters
from ifa_jax.models.base import System

WORDS = "text/embed/word/embedding"


@dataclasses.dataclass(frozen=True)
class Options:
  """Settings of a model that is to be fine-tuned."""

  num_relations: int = setting(
    "Number of relations, None included.", 23, least=1
  )
  seed: int = setting("Seed of initialised parameters.", 0, least=0)

  def __post_init__(self):
    """Raises ValueError for a seed that would repeat another."""
    # JAX keys are of 32 bits, and a flag has no upper bound.
    if not 0 <= self.seed < 2**32:
      raise ValueError(
        f"seed: expected at least 0 and below {2**32}, got {self.seed}"
      )


def complete(
  params: Mapping[str, np.ndarray], config: System, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Adds randomly initialised parameters to a checkpoint's.

  Args:
    params: path -> float32 array. The word table may lack its last rows, those
      of the entity markers.
    config: of a model with a text stream.
    seed: of a run that would initialise them in the same way.

  Returns:
    Path -> float32 array of all parameters, and the paths of the initialised
    ones, with the rows of the word table.
  """
  missing = [
    path
    for path in parameters.param_shapes(config)
    if path not in params or path == WORDS
  ]

  # Compiled, so that only the missing ones are computed.
  @jax.jit
  def initial_values():
    tree = parameters.init_params(config, parameters.init_key(seed))
    flat = traverse_util.flatten_dict(tree, sep="/")
    return {path: flat[path] for path in missing}

  fresh = {path: np.array(x) for path, x in initial_values().items()}
  words = params.get(WORDS, fresh[WORDS][:0])
  fresh[WORDS] = np.concatenate([words, fresh[WORDS][len(words) :]])
  named = [path for path in missing if path != WORDS]
  if len(words) < config.text.vocab_size:
    last = config.text.vocab_size - 1
    named.append(f"{WORDS}, rows {len(words)} to {last}")
  return {**params, **fresh}, sorted(named)
