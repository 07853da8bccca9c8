"""The systems as flax.linen modules.

    ifaformer/       the paper's model
    baselines/       the systems that it is compared with
    successors/      systems that came after those of the paper
    encoders/        streams shared by several systems
    layers/          parts of transformer layers, products, packing, scan
    base             properties of a model's config that its callers read
    config           shapes and switches of IFAformer
    registry         all systems by name; configs from and to plain dicts
    variants         the rows of result tables
    relation_head    entity states, and the baselines' relation head
    output           the output of a model
    parameters       initialises, describes and counts parameters

Axis letters, in every docstring and einsum:

    B  batch               N  attention heads
    T  text tokens         H  width of one head
    P  visual tokens       D  width of a stream
    Q  query positions     F  MLP width
    S  key positions,      C  relations ("None" is 0)
       lent ones first     V  vocabulary
    L  lent positions      K  crop slots of a kind
    W  words               M  regions of a picture

Parameter paths look like `text/layer_3/attention/query/kernel`. Kernels are
[in, out], the transpose of PyTorch's.

Models support reverse-mode (`jax.grad`, `jax.vjp`, `jax.jacrev`) and
forward-over-reverse differentiation (`jax.hessian`), but not forward mode: see
`layers.matmul`.
"""

from ifa_jax.models.config import (
  ModelConfig,
  TextConfig,
  VisionConfig,
  replace,
)
from ifa_jax.models.exchange import FUSIONS, Exchange
from ifa_jax.models.ifaformer.model import IFAformer
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.registry import SYSTEMS, build

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
