"""The PyTorch yardstick and the model compute the same."""

import functools

import jax
import numpy as np
import parity
import pytest
import reference_data
import torch
import torch_reference

from benchmarks import yardstick
from ifa_jax import models
from ifa_jax.training import steps

pytestmark = pytest.mark.slow

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
# The measured settings: without the whole picture, and with it.
CASES = {
  "crops": ("sdpa", {"use_image": False}),
  "picture and crops": ("matmul", {}),
}
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
  """Returns the weights of the yardstick, under its names."""
  renamed = {}
  for name, weight in weights.items():
    for stem, other in STEMS.items():
      if name.startswith(stem):
        renamed[other + name.removeprefix(stem)] = weight
        break
  return renamed


def pictures(inputs, options):
  """Returns the inputs as a batch with the fields that a model reads."""
  batch = parity.to_batch(inputs)
  if options.get("use_image", True):
    return batch
  return batch.replace(image=None, image_mask=None)


@functools.partial(jax.jit, static_argnums=0)
def compute(model, params, batch):
  """Returns the model's logits and mean loss."""
  logits = model.apply({"params": params}, batch).logits
  return logits, steps.row_sums(logits, batch)[0] / len(batch.label)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_loss_equal_the_models(case):
  attention, options = CASES[case]
  weights = torch_reference.random_weights(
    GEOMETRY, seed=1, dtype=torch.float32
  )
  inputs = reference_data.random_inputs(GEOMETRY, seed=2, batch_size=4)
  config = parity.model_config(GEOMETRY, **options)
  batch = pictures(inputs, options)
  params = parity.to_params(weights, config)
  logits, expected = compute(models.build(config), params, batch)
  model = yardstick.Yardstick(config, attention).eval()
  model.load_state_dict(rename(weights))
  tensors = yardstick.to_inputs(batch, config.vision)
  found = model(tensors)
  loss = torch.nn.functional.cross_entropy(found, tensors["label"])
  assert np.abs(found.detach().numpy() - logits).max() < TOLERANCE
  assert abs(loss.item() - float(expected)) < TOLERANCE


def test_updates_lower_the_loss_and_predictions_are_probabilities():
  # Two threads that wait busily for each other are slow next to other tests.
  torch.set_num_threads(1)
  config = parity.model_config(GEOMETRY)
  inputs = reference_data.random_inputs(GEOMETRY, seed=2, batch_size=4)
  batch = parity.to_batch(inputs)
  trained = yardstick.TorchRunner(config, batch, "eager")
  losses = [trained.step().item() for _ in range(200)]
  assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.02
  assert trained.compile_seconds is trained.memory_bytes is None
  predicted = yardstick.TorchRunner(config, batch, "eager", train=False)
  found = predicted.step()
  assert found.shape == (4, GEOMETRY.num_relations)
  np.testing.assert_allclose(found.sum(dim=-1), 1, atol=1e-6)
  assert predicted.run(0.0) > 0
