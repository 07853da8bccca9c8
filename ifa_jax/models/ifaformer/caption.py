"""IFAformer with a picture in words: BERT on its caption in the place of ViT.

Equation (2) of arXiv:2211.07504 with keys and values of the caption's tokens.
No source but this one: neither the paper nor its code reads captions.
"""

import dataclasses

import jax
import jax.numpy as jnp

from ifa_jax.batch import Batch
from ifa_jax.models.config import (
  TextConfig,
  TextSystem,
  check_equal,
  check_stream,
)
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.exchange import FUSIONS
from ifa_jax.models.ifaformer.model import IFAformer


@dataclasses.dataclass(frozen=True)
class CaptionConfig(TextSystem):
  """IFAformer whose second stream is BERT and reads the picture's caption.

  Attributes:
    caption: the second stream.
    text_attention: whether it attends to the text.
  """

  caption: TextConfig = TextConfig()  # noqa: RUF009
  text_attention: bool = True

  system = "ifaformer_caption"
  reads_caption = "stream"
  rules = FUSIONS["paper"]

  def __post_init__(self):
    """Raises ValueError for streams that cannot lend to each other."""
    super().__post_init__()
    check_stream("caption", self.caption)
    for name in ("hidden_dim", "num_layers", "vocab_size"):
      check_equal("caption", name, self.text, self.caption)

  @property
  def scans_layers(self) -> bool:
    """Always."""
    return True

  @property
  def packs_texts(self) -> bool:
    """Always; captions remain padded."""
    return True


class CaptionIFAformer(IFAformer):
  """Maps a `Batch` with `caption_ids` to relation logits.

  A text attends to no token of an absent caption: its logits are those of the
  text stream without a second one.
  """

  config: CaptionConfig

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
