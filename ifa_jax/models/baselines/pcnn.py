"""PCNN: a convolution over words, max-pooled in three pieces.

Zeng et al. 2015, as in OpenNRE's `pcnn_encoder`: for single sentences, and with
pieces that end at the first word of each entity, inclusive.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import Count, Rate
from ifa_jax.models.base import System
from ifa_jax.models.layers.transformer import Dropout
from ifa_jax.models.output import ModelOutput

# The first rows of the word table.
PAD, UNKNOWN = 0, 1
_NUM_PIECES = 3
# OpenNRE subtracts this from words outside a piece before the maximum. With the
# ReLU, a piece without words is 0.
_OTHER_PIECE = 100.0

# The default of torch's Conv1d and Linear, whose biases have the same bound.
_init_kernel = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


@dataclasses.dataclass(frozen=True)
class PCNNConfig(System):
  """PCNN's sizes; the defaults are OpenNRE's.

  Attributes:
    vocab_size: rows of the word table, `PAD` and `UNKNOWN` included. None takes
      the run's vocabulary, filled in by `training.model_inputs.sized`.
    word_dim: width of a word's vector.
    position_dim: width of each of the two position vectors.
    hidden_dim: filters of the convolution.
    kernel_size: words per filter.
    max_words: W, the maximum length of a text; offsets beyond share a vector.
    num_relations: C, the label "None" included.
    head_dropout_rate: applied twice, as released.
  """

  vocab_size: Count | None = None
  word_dim: Count = 50
  position_dim: Count = 5
  hidden_dim: Count = 230
  kernel_size: Count = 3
  max_words: Count = 128
  num_relations: Count = 23
  head_dropout_rate: Rate = 0.5

  reads_words = True
  system = "pcnn"

  def __post_init__(self):
    """Raises ValueError for a kernel that has no middle."""
    if self.kernel_size % 2 == 0:
      raise ValueError(
        f"model.kernel_size: expected an odd number, got {self.kernel_size}"
      )


class PCNN(nn.Module):
  """Maps a `Batch` to relation logits; reads words, no WordPieces."""

  config: PCNNConfig

  def setup(self):
    """Declares three tables, the convolution and `relation_head`."""
    config = self.config
    offsets, width = 2 * config.max_words, config.position_dim
    init = nn.initializers.normal(1.0)
    vocab_size: Any = config.vocab_size  # No longer None.
    self.word = nn.Embed(
      vocab_size, config.word_dim, embedding_init=_init_words
    )
    self.head_position = nn.Embed(offsets, width, embedding_init=init)
    self.tail_position = nn.Embed(offsets, width, embedding_init=init)
    fan_in = config.kernel_size * (config.word_dim + 2 * width)
    self.convolution = nn.Conv(
      config.hidden_dim,
      (config.kernel_size,),
      kernel_init=_init_kernel,
      bias_init=_init_bias(fan_in),
    )
    self.dropout = Dropout(config.head_dropout_rate)
    self.relation_head = nn.Dense(
      config.num_relations,
      kernel_init=_init_kernel,
      bias_init=_init_bias(_NUM_PIECES * config.hidden_dim),
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; there is nothing to capture."""
    convolved = self.convolution(self._embed(batch))
    pieces = _piecewise_max(convolved[:, : batch.words.shape[1]], batch)
    # OpenNRE drops out in the encoder and again in `SoftmaxNN`.
    for _ in range(2):
      pieces = self.dropout(pieces, deterministic=not train)
    return ModelOutput(self.relation_head(pieces))

  def _embed(self, batch: Batch) -> jax.Array:
    """Returns float32[B, W+n, D]: words with their offsets to both entities."""
    # Padding is embedded, and its vector trained. A filter reaches n words past
    # the last; with n more words of padding these are the same however far a
    # batch is padded, as in OpenNRE, which pads all texts to a larger W.
    reach = self.config.kernel_size // 2
    pad = functools.partial(jnp.pad, pad_width=((0, 0), (0, reach)))
    words, mask = pad(batch.words), pad(batch.word_mask)
    embedded = [self.word(words)]
    for table, start in (
      (self.head_position, batch.head_word),
      (self.tail_position, batch.tail_word),
    ):
      offset = self._offsets(words.shape[1], start) * mask
      # Row 0 is padding's: torch's padding_idx keeps it at zero.
      embedded.append(table(offset) * (offset > 0)[..., None])
    return jnp.concatenate(embedded, axis=-1)

  def _offsets(self, length: int, start: jax.Array) -> jax.Array:
    """Returns int32[B, W]: rows of a position table."""
    most = self.config.max_words
    start = jnp.minimum(start, most)[:, None]
    return jnp.minimum(jnp.arange(length) - start + most, 2 * most - 1)


def _piecewise_max(convolved: jax.Array, batch: Batch) -> jax.Array:
  """Pools float32[B, W, D] to float32[B, 3D]."""
  # A word's piece is the number of entities whose first word precedes it.
  starts = jnp.stack([batch.head_word, batch.tail_word], axis=1)
  position = jnp.arange(convolved.shape[1])
  piece = jnp.sum(position[None, :, None] > starts[:, None], axis=-1)
  pooled = []
  for number in range(_NUM_PIECES):
    outside = (piece != number) | ~batch.word_mask
    shifted = convolved - _OTHER_PIECE * outside[..., None]
    pooled.append(jnp.max(nn.relu(shifted), axis=1))
  return jnp.concatenate(pooled, axis=-1)


def _init_words(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
  """Initialises words as N(0, 1) / sqrt(width), and padding as 0."""
  table = jax.random.normal(key, shape, dtype) * shape[1] ** -0.5
  return table.at[PAD].set(0.0)


def _init_bias(fan_in: int):
  """Returns a uniform initialiser in [-1, 1] / sqrt(fan_in)."""
  bound = fan_in**-0.5

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init
