"""The PyTorch yardstick computes what the model computes."""

import numpy as np
import parity
import pytest
import reference_data
import torch
import torch_reference

from benchmarks import yardstick
from ifa_jax import models, step

TOLERANCE = 5e-6
GEOMETRY = torch_reference.Geometry(
  layers=2,
  text_heads=4,
  vision_heads=2,
  patch=4,
  size=12,
  vocab=50,
  hidden=24,
  mlp=40,
  num_relations=7,
)
# The two settings that are measured: without the whole picture, and with it.
CASES = {"crops": {"use_image": False}, "picture and crops": {}}
# Name in `torch_reference` -> name in the yardstick.
STEMS = {
  "model.vision_embeddings.aux_position_embedding": "grounded_position",
  "model.vision_embeddings.rcnn_position_embedding": "detected_position",
  "model.vision_embeddings": "visual.embeddings",
  "model.vision_pre_layrnorm": "visual.pre_layrnorm",
  "model.vision_post_layernorm": "visual.post_layernorm",
  "model.text_embeddings": "text.embeddings",
  "model.encoder.vision_layers": "visual.encoder.layers",
  "model.encoder.text_layer": "text.encoder.layer",
  "classifier": "head",
}


def rename(weights):
  """Returns the weights that the yardstick has, under its names."""
  renamed = {}
  for name, weight in weights.items():
    for stem, other in STEMS.items():
      if name.startswith(stem):
        renamed[other + name.removeprefix(stem)] = weight
        break
  return renamed


def pictures(inputs, options):
  """Returns the inputs as a batch of the fields that a model reads."""
  batch = parity.to_batch(inputs)
  if options.get("use_image", True):
    return batch
  return batch.replace(image=None, image_mask=None)


@pytest.mark.parametrize("attention", ["matmul", "sdpa"])
@pytest.mark.parametrize("case", CASES)
def test_logits_and_loss_are_the_models(case, attention):
  options = CASES[case]
  weights = torch_reference.random_weights(
    GEOMETRY, seed=1, dtype=torch.float32
  )
  inputs = reference_data.random_inputs(GEOMETRY, seed=2, batch_size=4)
  config = parity.model_config(GEOMETRY, **options)
  batch = pictures(inputs, options)
  params = parity.to_params(weights, config)
  logits = models.build(config).apply({"params": params}, batch).logits
  want = float(step.row_sums(logits, batch)[0]) / len(batch.label)
  model = yardstick.Yardstick(config, attention).eval()
  model.load_state_dict(rename(weights))
  given = yardstick.to_inputs(batch, config.vision)
  got = model(given)
  loss = torch.nn.functional.cross_entropy(got, given["label"])
  assert np.abs(got.detach().numpy() - logits).max() < TOLERANCE
  assert abs(loss.item() - want) < TOLERANCE
