"""The PyTorch yardstick against DeepKE's own numbers, and its dead weights."""

import dataclasses

import numpy as np
import pytest
import reference_data
import torch
import torch_reference

VARIANTS = {
  "deepke": {"fusion": "released"},
  "paper_with_objects": {},
  "paper_vanilla": {"use_objects": False},
  "paper_without_text_attention": {
    "use_objects": False,
    "text_attention": False,
  },
  "paper_text_only": {"vision": False},
}
CAPTURED = {
  "logits": "logits",
  "text_hidden": "text_hidden",
  "text_attention": "text_attention",
  "vision_hidden": "visual_hidden",
  "vision_attention": "visual_attention",
}
PIXELS = {
  "image": "image_mask",
  "aux_imgs": "grounded_mask",
  "rcnn_imgs": "detected_mask",
}
NEVER_READ = [
  "model.vision_post_layernorm.weight",
  "model.vision_post_layernorm.bias",
  "model.text_pooler.dense.weight",
  "model.text_pooler.dense.bias",
]
# Beyond these, text reads the last vision layer's keys in both fusions, and
# its values only in the paper's.
DEAD_IN_LAST_VISION_LAYER = [
  "self_attn.q_proj",
  "self_attn.out_proj",
  "layer_norm2",
  "mlp.fc1",
  "mlp.fc2",
]


def last_vision_layer(parts, geometry):
  stem = f"model.encoder.vision_layers.{geometry.layers - 1}"
  return [f"{stem}.{p}.{kind}" for p in parts for kind in ("weight", "bias")]


def small_geometry(**changes):
  geometry = torch_reference.Geometry(
    layers=2,
    text_heads=2,
    vision_heads=2,
    patch=4,
    size=12,
    vocab=30,
    hidden=12,
    mlp=16,
    num_relations=5,
  )
  return dataclasses.replace(geometry, **changes)


def test_shapes_are_those_of_best_model():
  weights = reference_data.weights()
  want = torch_reference.weight_shapes(reference_data.geometry())
  assert {name: tuple(w.shape) for name, w in weights.items()} == want


# The paper's numbers are float64 rounded to float32 when stored, DeepKE's were
# computed in float32.
@pytest.mark.parametrize(
  ("dtype", "atol"), [(torch.float64, 5e-7), (torch.float32, 5e-6)]
)
@pytest.mark.parametrize("name", VARIANTS)
def test_equals_reference_numbers(name, dtype, atol):
  weights = reference_data.weights(dtype)
  batch, geometry = reference_data.inputs(), reference_data.geometry()
  want = reference_data.expected(name)
  output = torch_reference.forward(
    weights, batch, geometry, capture=True, **VARIANTS[name]
  )
  if name == "deepke":
    atol = 5e-6
  for key in want.keys() - {"loss"}:
    got = getattr(output, CAPTURED[key])
    np.testing.assert_allclose(got, want[key], rtol=0, atol=atol, err_msg=key)
  loss = torch_reference.loss(weights, batch, geometry, **VARIANTS[name])
  np.testing.assert_allclose(loss, want["loss"], rtol=0, atol=atol)


def test_text_only_reads_no_pixels():
  batch = reference_data.inputs()
  for pixels, mask in PIXELS.items():
    del batch[pixels], batch[mask]
  output = torch_reference.forward(
    reference_data.weights(), batch, reference_data.geometry(), vision=False
  )
  want = reference_data.expected("paper_text_only")["logits"]
  np.testing.assert_allclose(output.logits, want, atol=5e-7)


@pytest.mark.parametrize("fusion", ["paper", "released"])
def test_weights_without_gradient(fusion):
  geometry = reference_data.geometry()
  _, gradients = torch_reference.gradients(
    reference_data.weights(), reference_data.inputs(), geometry, fusion=fusion
  )
  dead = DEAD_IN_LAST_VISION_LAYER.copy()
  want = NEVER_READ.copy()
  if fusion == "released":
    want.append("model.vision_embeddings.position_embedding.weight")
    dead.append("self_attn.v_proj")
  want += last_vision_layer(dead, geometry)
  assert sorted(k for k, v in gradients.items() if v is None) == sorted(want)
  assert all(v.abs().max() > 1e-6 for v in gradients.values() if v is not None)


@pytest.mark.parametrize(
  "changes",
  [
    {"text_heads": 3, "vision_heads": 4},
    {"pre_norm": False, "patch_bias": True, "vision_activation": "gelu"},
  ],
)
def test_gradients_equal_finite_differences(changes):
  geometry = small_geometry(**changes)
  weights = torch_reference.random_weights(geometry, seed=1, std=0.3)
  batch = reference_data.random_inputs(geometry, seed=2)
  _, gradients = torch_reference.gradients(weights, batch, geometry)
  step = 1e-5
  for name, gradient in gradients.items():
    if gradient is None:
      continue
    direction = torch.sign(gradient)
    up, down = (
      torch_reference.loss(
        weights | {name: weights[name] + sign * step * direction},
        batch,
        geometry,
      )
      for sign in (1, -1)
    )
    slope = gradient.abs().sum()
    np.testing.assert_allclose(
      (up - down) / (2 * step), slope, rtol=1e-4, atol=1e-8, err_msg=name
    )


def test_masked_tokens_reach_nothing_in_paper_fusion():
  geometry = small_geometry()
  weights = torch_reference.random_weights(geometry, seed=1)
  batch = reference_data.random_inputs(geometry, seed=2)
  want = torch_reference.forward(weights, batch, geometry).logits
  padding = batch["attention_mask"] == 0
  batch["input_ids"][padding] = 7
  for pixels, mask in PIXELS.items():
    assert not batch[mask].all()
    batch[pixels][~batch[mask]] = 3.0
  got = torch_reference.forward(weights, batch, geometry).logits
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_released_fusion_wants_equal_heads():
  geometry = small_geometry(text_heads=3, vision_heads=4)
  weights = torch_reference.random_weights(geometry, seed=1)
  batch = reference_data.random_inputs(geometry, seed=2)
  with pytest.raises(ValueError, match="equally many heads"):
    torch_reference.forward(weights, batch, geometry, fusion="released")
