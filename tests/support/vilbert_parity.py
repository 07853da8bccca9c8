"""The same weights and batch for ViLBERT and for PyTorch's computation."""

import functools

import jax
import numpy as np
from flax import traverse_util

import ifa_jax
from ifa_jax import models
from ifa_jax.convert import engine, vilbert
from ifa_jax.models import TextConfig, parameters
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig

# float32 against float32; a wrong epsilon is 2e-5 off.
TOLERANCE = 5e-6

RULES = [
  *vilbert.RULES,
  *engine.linear("head.0", "relation_head/hidden"),
  *engine.linear("head.1", "relation_head/out"),
]


def model_config(geometry, pooling, dropout=0.0):
  """Returns the config of a geometry."""
  g = geometry
  rates = {"dropout_rate": dropout, "attention_dropout_rate": dropout}
  return ViLBERTConfig(
    text=TextConfig(
      vocab_size=g.vocab,
      max_len=g.max_len,
      hidden_dim=g.text_dim,
      num_layers=g.text_layers,
      num_heads=g.text_heads,
      mlp_dim=g.text_mlp,
      **rates,
    ),
    vision=RegionStreamConfig(
      hidden_dim=g.visual_dim,
      num_layers=g.visual_layers,
      num_heads=g.visual_heads,
      mlp_dim=g.visual_mlp,
      **rates,
    ),
    connection=CoAttentionConfig(
      hidden_dim=g.dim,
      num_layers=len(g.text_at),
      num_heads=g.heads,
      attention_dropout_rate=dropout,
    ),
    regions=RegionConfig(g.num_regions, g.feature_dim),
    pooling=pooling,
    num_relations=g.num_relations,
    head_dropout_rate=dropout,
  )


def to_params(weights, config):
  """Returns the weights as parameters, without unused poolers."""
  arrays = {
    name: tensor.detach().numpy()
    for name, tensor in weights.items()
    if config.pooling == "native_mul" or "_pooler" not in name
  }
  shapes = parameters.param_shapes(config)
  params = engine.convert(arrays, RULES, shapes, "the yardstick")
  return traverse_util.unflatten_dict(params, sep="/")


def to_batch(inputs):
  """Returns the inputs as a `Batch`."""
  fields = {name: tensor.numpy() for name, tensor in inputs.items()}
  fields["label"] = fields.pop("labels")
  kinds = {"int64": np.int32, "float32": np.float32, "bool": bool}
  return ifa_jax.Batch(
    **{name: x.astype(kinds[x.dtype.name]) for name, x in fields.items()}
  )


@functools.cache
def run(config):
  """Returns the compiled model with `capture=True`."""
  model = models.build(config)
  return jax.jit(
    lambda params, batch: model.apply({"params": params}, batch, capture=True)
  )


def assert_close(got, want):
  """Compares an array with a tensor."""
  want = want.detach().numpy()
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)
