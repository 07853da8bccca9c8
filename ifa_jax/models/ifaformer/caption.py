"""IFAformer with a picture in words: BERT on its caption in the place of ViT.

Equation (2) of arXiv:2211.07504 with keys and values of the caption's tokens.
No source but this one: neither the paper nor its code reads captions.
"""

import jax
import jax.numpy as jnp

from ifa_jax.batch import Batch
from ifa_jax.models.config import CaptionConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.ifaformer.model import IFAformer


class CaptionIFAformer(IFAformer):
  """Maps a `Batch` with `caption_ids` to relation logits.

  A text attends to no token of an absent caption: its logits are those of the
  text stream without a second one.
  """

  config: CaptionConfig  # pyright: ignore[reportIncompatibleVariableOverride]

  def setup(self):
    """Declares `text`, `caption` and `relation_head`."""
    super().setup()
    dtype = jnp.dtype(self.config.dtype)
    self.caption = TextStream(self.config.caption, dtype)

  @property
  def _second(self) -> TextStream:
    return self.caption

  def _embed_second(
    self, batch: Batch, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the embedded captions, float[B, U, D], and bool[B, U]."""
    captions = batch.replace(
      input_ids=batch.caption_ids,
      token_type_ids=jnp.zeros_like(batch.caption_ids),
    )
    return self.caption.embed(captions, train=train), batch.caption_mask
