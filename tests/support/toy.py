"""Two layers with a function between them that can produce NaN."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.output import ModelOutput


class Toy(nn.Module):
  """Two layers with a function between them; reads the batch's regions."""

  between: str = "tanh"

  @nn.compact
  def __call__(self, batch, *, train=False, capture=False):
    """Maps a batch to logits."""
    hidden = nn.Dense(3, name="below")(batch.regions[:, 0])
    function = {
      "tanh": jnp.tanh,
      # 0, and its derivative infinite.
      "root": lambda x: jnp.sqrt(0 * x),
      "log": lambda x: jnp.log(-jnp.abs(x)),
    }[self.between]
    return ModelOutput(nn.Dense(2, name="above")(function(hidden)))


def batch(rows=4):
  """Returns random rows, the last of them filler."""
  rng = np.random.default_rng(0)
  unread = {name: None for name in ("input_ids", "attention_mask")}
  unread |= dict.fromkeys(("token_type_ids", "head_start", "tail_start"))
  return Batch(
    **unread,
    regions=rng.normal(size=(rows, 1, 5)).astype(np.float32),
    label=rng.integers(0, 2, rows, np.int32),
    valid=np.arange(rows) < rows - 1,
  )


def params():
  """Returns random parameters of `Toy`."""
  rng = np.random.default_rng(1)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  return {
    "below": {"kernel": draw(5, 3), "bias": draw(3)},
    "above": {"kernel": draw(3, 2), "bias": draw(2)},
  }
