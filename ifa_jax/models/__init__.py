"""IFAformer as flax.linen modules, one file for each box of the paper's figure.

    config       shapes and switches
    attention    attention to one's own and the other stream's tokens
    text         the BERT stream
    visual       the ViT stream
    ifaformer    both streams, layer by layer, and the relation head
    parameters   a model's parameters: started, described, counted
    settings     a model's config from and to a plain nested dict

Axis letters, in every docstring and einsum:

    B  batch               N  attention heads
    T  text tokens         H  width of one head
    P  visual tokens       D  width of a stream
    Q  query positions     F  MLP width
    S  key positions,      C  relations ("None" is 0)
       lent ones first     V  vocabulary
    L  lent positions      K  crop slots of a kind

Parameter paths read as `text/layer_3/attention/query/kernel`. Kernels are
[in, out], the transpose of PyTorch's.
"""

from flax import linen as nn

from ifa_jax.models.config import (
  FUSIONS,
  Exchange,
  ModelConfig,
  TextConfig,
  VisionConfig,
  replace,
)
from ifa_jax.models.ifaformer import IFAformer, ModelOutput

__all__ = [
  "FUSIONS",
  "Exchange",
  "IFAformer",
  "ModelConfig",
  "ModelOutput",
  "TextConfig",
  "VisionConfig",
  "build",
  "replace",
]


def build(config: ModelConfig) -> nn.Module:
  """Returns the module that a config describes; `apply` it to a `Batch`."""
  return IFAformer(config)
