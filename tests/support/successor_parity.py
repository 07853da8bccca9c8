"""Small MKGformers and HVFormers, their batches and their plain numpy forms."""

import dataclasses
import functools

import jax
import numpy as np
import numpy_successors as yardstick
from flax import traverse_util

import ifa_jax
from ifa_jax.convert import engine, successors
from ifa_jax.models import TextConfig, VisionConfig, parameters
from ifa_jax.models.successors import mkgformer
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig

# Of the size of the logits.
TOLERANCE = 5e-6
# Fewer layers than the presets fuse compile faster; two of these fuse.
LAYERS, FUSED, HEADS, ROWS, WIDTH = 3, 2, 4, 3, 24
SIZES = {"hidden_dim": WIDTH, "num_layers": LAYERS, "num_heads": HEADS}
SHAPES = {
  "text": TextConfig(vocab_size=40, max_len=16, mlp_dim=40, **SIZES),
  "vision": VisionConfig(
    image_size=12, patch_size=4, num_crops=2, mlp_dim=32, **SIZES
  ),
  "num_relations": 6,
}
SYSTEMS = {
  name: MKGformerConfig(
    **SHAPES,
    variant=name,
    fusion_rules=dataclasses.replace(
      mkgformer.VARIANTS[name], fused_layers=FUSED
    ),
  )
  for name in ("equations", "released")
} | {
  "hvformer": HVFormerConfig(**SHAPES),
}


@functools.cache
def perturbed(name):
  """Returns parameters in which no norm is 1 and no bias is 0."""
  params = parameters.init_params(SYSTEMS[name], jax.random.key(0))
  flat = traverse_util.flatten_dict(params)
  rng = np.random.default_rng(0)
  noisy = {
    path: np.asarray(leaf) + rng.normal(0, 0.2, leaf.shape).astype(np.float32)
    for path, leaf in flat.items()
  }
  return traverse_util.unflatten_dict(noisy)


def make_batch(config, seed=0, all_there=False):
  rng = np.random.default_rng(seed)
  length, vision = 10, config.vision
  lengths = np.array([length, 6, 8])
  mask = np.arange(length) < lengths[:, None]
  crops = vision.num_crops
  there = lambda: (rng.random((ROWS, crops)) < 0.6) | all_there  # noqa: E731
  pixels = lambda *shape: rng.normal(size=(*shape, 3)).astype(np.float32)  # noqa: E731
  grounded, detected = vision.grounded_size, vision.detected_size
  side = vision.image_size
  return ifa_jax.Batch(
    input_ids=np.where(mask, rng.integers(1, 40, (ROWS, length)), 0),
    attention_mask=mask,
    token_type_ids=np.zeros((ROWS, length), np.int32),
    head_start=np.array([1, 2, 5], np.int32),
    tail_start=np.array([7, 4, 1], np.int32),
    label=np.array([0, 3, 5], np.int32),
    valid=np.ones(ROWS, bool),
    image=pixels(ROWS, side, side),
    image_mask=np.array([True, True, all_there]),
    grounded=pixels(ROWS, crops, grounded, grounded),
    grounded_mask=there(),
    detected=pixels(ROWS, crops, detected, detected),
    detected_mask=there(),
  )


def released_names(name, params):
  """Returns parameters in float64 by the names of the released code."""
  config = SYSTEMS[name]
  is_mkg = isinstance(config, MKGformerConfig)
  rules = successors.mkgformer_rules if is_mkg else successors.hvformer_rules
  flat = traverse_util.flatten_dict(params, sep="/")
  weights = engine.restore(flat, rules(config), name)
  return {key: value.astype(np.float64) for key, value in weights.items()}


def masked(pixels, mask):
  return np.where(mask[..., None, None, None], pixels, 0.0)


def compute(name, params, batch):
  """Returns the yardstick's logits and its states."""
  config, w = SYSTEMS[name], released_names(name, params)
  rows = (batch.input_ids, batch.attention_mask)
  text = (*rows, batch.head_start, batch.tail_start)
  grounded = masked(batch.grounded, batch.grounded_mask)
  detected = masked(batch.detected, batch.detected_mask)
  image, by_code = None, name != "equations"
  if not by_code:
    image = masked(batch.image, batch.image_mask)
  visual = yardstick.embed_vision(
    w, grounded, detected, config.vision.patch_size, image, not by_code
  )
  if name == "hvformer":
    return yardstick.hvformer(w, text, visual, num_heads=HEADS)
  spread = lambda mask, n: np.repeat(mask, n, axis=-1)  # noqa: E731
  parts = [
    np.ones((ROWS, 1), bool),
    *([] if by_code else [spread(batch.image_mask[:, None], 9)]),
    spread(batch.grounded_mask, 16),
    spread(batch.detected_mask, 4),
  ]
  return yardstick.mkgformer(
    w,
    text,
    visual,
    np.concatenate(parts, 1),
    num_heads=HEADS,
    fused=config.rules.fused_layers,
    released=by_code,
  )
