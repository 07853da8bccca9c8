"""Switches between the paper's equations and the released code."""

import dataclasses

# Added to the attention logits of padding. Its weight is exactly 0 in float32,
# but a row of padding only still has finite logits, which -inf would not give.
PADDING_BIAS = -1e30


@dataclasses.dataclass(frozen=True)
class StreamRules:
  """Departures of released codes from the equations, in the streams themselves.

  The defaults mask everything that is absent. "Released" are, with the same
  values, zjunlp/DeepKE@4b27718, zjunlp/MKGformer@6dc924d and
  liuxiyang641/HVFormer@9b6a662.

  Attributes:
    image_tokens: the whole picture's patches are visual tokens. Released: no,
      `CLIPVisionEmbeddings.forward` reads only the picture's batch size.
    class_position: the class token gets row 0 of the position table. Released:
      no position.
    absent_masked: nothing attends to absent pictures and crops. Released: they
      are kept, as all-zero pixels with a position.
    padding_bias: added to the logits of padding in text attention. Released:
      -10000.
    head_dropout: dropout of the relation head's input in training. Released:
      declared (DeepKE's IFA_model.py:46) and never applied.
  """

  image_tokens: bool = True
  class_position: bool = True
  absent_masked: bool = True
  padding_bias: float = PADDING_BIAS
  head_dropout: bool = True


RELEASED_STREAMS = {
  "image_tokens": False,
  "class_position": False,
  "absent_masked": False,
  "padding_bias": -10000.0,
  "head_dropout": False,
}


@dataclasses.dataclass(frozen=True)
class Exchange(StreamRules):
  """Differences between the paper and the released code, one per field.

  The defaults are the paper's equations (1) and (2); `RELEASED` is the code at
  zjunlp/DeepKE@4b27718. Lines are of its `models/modeling_IFA.py`.

  Attributes:
    padding_masked_in_visual: the visual stream does not attend to padding.
      Released: it masks nothing.
    visual_bias: added to the logits of visual keys in text attention. Released
      (359): 1, from an additive mask that is filled with ones.
    keys_as_values: text reads visual keys in place of values. Released (352).
    raw_first_layer: the first layers lend their streams' embeddings, split into
      heads without a transpose, in place of keys and values. Released (604,
      622): a `view` of [n, D] as [N, n, H].
    text_lends_late: visual layer l reads the keys and values of text layer l-1.
      Released (594-639).
  """

  padding_masked_in_visual: bool = True
  visual_bias: float = 0.0
  keys_as_values: bool = False
  raw_first_layer: bool = False
  text_lends_late: bool = False


RELEASED = Exchange(
  **RELEASED_STREAMS,
  padding_masked_in_visual=False,
  visual_bias=1.0,
  keys_as_values=True,
  raw_first_layer=True,
  text_lends_late=True,
)
FUSIONS = {"paper": Exchange(), "released": RELEASED}
