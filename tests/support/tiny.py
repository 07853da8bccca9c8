"""A small model, its parameters and random batches, for any test to use."""

import numpy as np
from flax import traverse_util

import ifa_jax
from ifa_jax.models import (
  ModelConfig,
  TextConfig,
  VisionConfig,
  parameters,
  replace,
)


def tiny_config(
  dropout: float = 0.0, num_layers: int = 2, **changes
) -> ModelConfig:
  """Returns a model of width 16.

  Args:
    dropout: rate of every dropout.
    num_layers: of both streams.
    **changes: further fields of `ModelConfig`.
  """
  sizes = {
    "hidden_dim": 16,
    "num_layers": num_layers,
    "num_heads": 2,
    "mlp_dim": 32,
  }
  text = TextConfig(
    vocab_size=50,
    max_len=16,
    dropout_rate=dropout,
    attention_dropout_rate=dropout,
    **sizes,
  )
  vision = VisionConfig(image_size=16, patch_size=4, num_crops=2, **sizes)
  config = ModelConfig(text, vision, num_relations=5, head_dropout_rate=dropout)
  return replace(config, **changes)


def random_batch(
  config: ModelConfig,
  rows: int,
  text_len: int = 12,
  seed: int = 0,
  num_filler: int = 0,
) -> ifa_jax.Batch:
  """Returns numpy arrays with every field that the model may read.

  Texts have 4 to `text_len` tokens, the first 4 and the second `text_len`. Both
  markers are between the first and the last token. The number of crops of each
  kind is random.

  Args:
    config: gives vocabulary, relations and sizes.
    rows: B.
    text_len: T.
    seed: of the random values.
    num_filler: number of last rows with `valid` False.
  """
  rng = np.random.default_rng(seed)
  length = rng.integers(4, text_len + 1, rows)
  length[:2] = (4, text_len)[:rows]
  real = np.arange(text_len) < length[:, None]
  ids = rng.integers(1, config.text.vocab_size, (rows, text_len))
  markers = np.stack([1 + rng.permutation(n - 2)[:2] for n in length])
  return ifa_jax.Batch(
    input_ids=np.where(real, ids, 0).astype(np.int32),
    attention_mask=real,
    token_type_ids=rng.integers(
      0, config.text.num_token_types, (rows, text_len), np.int32
    ),
    head_start=markers[:, 0].astype(np.int32),
    tail_start=markers[:, 1].astype(np.int32),
    label=rng.integers(0, config.num_relations, rows, np.int32),
    valid=np.arange(rows) < rows - num_filler,
    **_pictures(config, rows, rng),
  )


def _pictures(config, rows, rng):
  if config.vision is None:
    return {}
  vision, slots = config.vision, (config.vision.num_crops,)
  fields = {}
  for name, count, size in (
    ("image", (), vision.image_size),
    ("grounded", slots, vision.grounded_size),
    ("detected", slots, vision.detected_size),
  ):
    shape = (rows, *count, size, size, 3)
    fields[name] = rng.integers(0, 256, shape, np.uint8)
    found = rng.integers(0, vision.num_crops + 1, rows)
    there = np.arange(vision.num_crops) < found[:, None]
    fields[f"{name}_mask"] = there if count else there[:, 0]
  return fields


def perturbed_params(config: ModelConfig, seed: int = 0):
  """Returns random parameters, numpy arrays: norms near 1, all others near 0.

  Initial biases are 0 and norms 1, which would hide a swapped norm or a lost
  bias.
  """
  rng = np.random.default_rng(seed)
  shapes = parameters.param_shapes(config)
  params = {
    path: rng.normal(path.endswith("scale"), 0.1, shape).astype(np.float32)
    for path, shape in shapes.items()
  }
  return traverse_util.unflatten_dict(params, sep="/")
