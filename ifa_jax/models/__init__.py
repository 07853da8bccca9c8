"""The systems as flax.linen modules; one file for each idea.

    system       what a config tells of its model
    config       IFAformer's shapes and switches
    attention    attention to one's own and the other stream's tokens
    products     products of matrices, with their gradients
    text         the BERT stream, which all but PCNN share
    text_layer   one layer of it, open to what the picture lends
    packing      texts without the padding between them
    visual       the ViT stream
    head         from hidden states to relation logits
    layer_pair   a layer of both streams, which lend each other keys and values
    ifaformer    both streams, layer by layer
    stacking     equal layers as one
    bert         BERT and MTB
    mega         BERT+SG, BERT+SG+Att. and MEGA
    graph_fusion objects read through the text that they are aligned with
    vilbert      ViLBERT
    co_attention two streams of any widths that attend to each other
    regions      BERT's layers over the regions of a picture
    pcnn         PCNN
    systems      all of them by name
    parameters   a model's parameters: started, described, counted
    draws        initial values of equal layers, drawn together
    settings     a model's config from and to a plain nested dict

Axis letters, in every docstring and einsum:

    B  batch               N  attention heads
    T  text tokens         H  width of one head
    P  visual tokens       D  width of a stream
    Q  query positions     F  MLP width
    S  key positions,      C  relations ("None" is 0)
       lent ones first     V  vocabulary
    L  lent positions      K  crop slots of a kind
    W  words               M  regions of a picture

Parameter paths read as `text/layer_3/attention/query/kernel`. Kernels are
[in, out], the transpose of PyTorch's.
"""

from ifa_jax.models.config import (
  FUSIONS,
  Exchange,
  ModelConfig,
  TextConfig,
  VisionConfig,
  replace,
)
from ifa_jax.models.ifaformer import IFAformer
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.systems import SYSTEMS, build

__all__ = [
  "FUSIONS",
  "SYSTEMS",
  "Exchange",
  "IFAformer",
  "ModelConfig",
  "ModelOutput",
  "TextConfig",
  "VisionConfig",
  "build",
  "replace",
]
