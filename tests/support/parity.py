"""The same weights and batch for the model and for PyTorch's computation."""

import numpy as np
from flax import traverse_util

from ifa_jax import Batch
from ifa_jax.convert import deepke, engine
from ifa_jax.models import ModelConfig, TextConfig, VisionConfig, parameters

# ViT's patch projection has a bias, CLIP's does not.
RULES = [
  *deepke.RULES,
  engine.Rule(
    "model.vision_embeddings.patch_embedding.bias", "visual/embed/patch/bias"
  ),
]


def model_config(geometry, **changes):
  """Returns the config with a `torch_reference.Geometry`'s sizes."""
  g = geometry
  sizes = {"hidden_dim": g.hidden, "num_layers": g.layers, "mlp_dim": g.mlp}
  return ModelConfig(
    text=TextConfig(
      vocab_size=g.vocab,
      max_len=g.max_len,
      num_heads=g.text_heads,
      norm_epsilon=g.text_eps,
      **sizes,
    ),
    vision=VisionConfig(
      image_size=g.size,
      patch_size=g.patch,
      num_crops=g.num_crops,
      num_heads=g.vision_heads,
      norm_epsilon=g.vision_eps,
      activation=g.vision_activation,
      patch_bias=g.patch_bias,
      pre_norm=g.pre_norm,
      **sizes,
    ),
    num_relations=g.num_relations,
    **changes,
  )


def to_params(tensors, config):
  """Returns name -> tensor under DeepKE's names as the model's tree."""
  arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
  params = engine.convert(
    arrays, RULES, parameters.param_shapes(config), "the yardstick"
  )
  return traverse_util.unflatten_dict(params, sep="/")


def to_batch(inputs):
  """Returns the yardstick's inputs as a `Batch`, pixels channels last."""
  x = {name: tensor.numpy() for name, tensor in inputs.items()}
  last = lambda pixels: np.moveaxis(pixels, -3, -1).astype(np.float32)  # noqa: E731
  integers = lambda name: x[name].astype(np.int32)  # noqa: E731
  return Batch(
    input_ids=integers("input_ids"),
    attention_mask=x["attention_mask"].astype(bool),
    token_type_ids=integers("token_type_ids"),
    head_start=integers("head_start"),
    tail_start=integers("tail_start"),
    image=last(x["image"]),
    image_mask=x["image_mask"],
    grounded=last(x["aux_imgs"]),
    grounded_mask=x["grounded_mask"],
    detected=last(x["rcnn_imgs"]),
    detected_mask=x["detected_mask"],
    label=integers("labels"),
    valid=np.ones(len(x["labels"]), bool),
  )
