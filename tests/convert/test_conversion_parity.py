"""Converted encoders against PyTorch's: all states, and gradients."""

import hf_models
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import traverse_util

from ifa_jax import Batch, models
from ifa_jax.convert import from_huggingface
from ifa_jax.convert.huggingface.encoder_weights import read_stream

pytestmark = pytest.mark.slow

# Never to be loosened: a wrong epsilon shows at 2e-5.
TOLERANCE = 5e-6
ROWS, TEXT_LEN = 3, 9


def inputs(seed=0):
  """Returns the inputs: ids, mask, types, pictures [B, 12, 12, 3]."""
  rng = np.random.default_rng(seed)
  return {
    # PyTorch keeps the gradient of id 0, [PAD], from its row.
    "input_ids": rng.integers(1, hf_models.VOCAB, (ROWS, TEXT_LEN)),
    "attention_mask": np.arange(TEXT_LEN) < np.array([[9], [4], [6]]),
    "token_type_ids": rng.integers(0, 2, (ROWS, TEXT_LEN)),
    "image": rng.normal(size=(ROWS, 12, 12, 3)),
  }


def torch_states(model, x, is_text):
  """Returns float64[layers+1, B, n, D] of a model in double precision."""
  x = {name: torch.from_numpy(array) for name, array in x.items()}
  image = x.pop("image").permute(0, 3, 1, 2)
  fields = x if is_text else {"pixel_values": image}
  encoder = hf_models.encoder(model)
  return torch.stack(encoder(**fields, output_hidden_states=True).hidden_states)


def batch(x):
  zeros = np.zeros(ROWS, np.int32)
  return Batch(
    input_ids=x["input_ids"].astype(np.int32),
    attention_mask=x["attention_mask"],
    token_type_ids=x["token_type_ids"].astype(np.int32),
    head_start=zeros,
    tail_start=zeros,
    image=x["image"].astype(np.float32),
    image_mask=np.ones(ROWS, bool),
    label=zeros,
    valid=np.ones(ROWS, bool),
  )


def states_and_gradients(config, params, x, weights, is_text):
  """Returns all hidden states, and gradients of their weighted sum."""
  if is_text:
    config = models.replace(config, vision=None)
  else:
    config = models.replace(config, use_objects=False, text_attention=False)
  model = models.build(config)

  def weighted(params):
    output = model.apply({"params": params}, batch(x), capture=True)
    states = output.text_hidden if is_text else output.visual_hidden
    return jnp.sum(states * weights), states

  (_, states), gradients = jax.jit(jax.value_and_grad(weighted, has_aux=True))(
    params
  )
  return states, gradients


def convert_with_partner(folder, side):
  """Converts `model/` with an encoder of the other side."""
  other, kind = (
    ("vision", "ViTModel") if side == "text" else ("text", "BertModel")
  )
  partner = hf_models.save(folder / "partner", kind)
  return from_huggingface(**{side: folder / "model", other: partner})


@pytest.mark.parametrize("kind", ["BertModel", "CLIPVisionModel", "ViTModel"])
def test_states_of_every_layer_and_gradients(kind, tmp_path):
  is_text = kind in hf_models.TEXT
  side, root = ("text", "text") if is_text else ("vision", "visual")
  model = hf_models.make(kind)
  model.save_pretrained(tmp_path / "model")
  config, params = convert_with_partner(tmp_path, side)
  x = inputs()

  want = torch_states(model.double(), x, is_text)
  rng = np.random.default_rng(1)
  weights = rng.normal(size=want.shape) / want.numel() ** 0.5
  (want * torch.from_numpy(weights)).sum().backward()
  got, gradients = states_and_gradients(
    config, params, x, weights.astype(np.float32), is_text
  )
  assert got.shape == want.shape
  np.testing.assert_allclose(got, want.detach().numpy(), rtol=0, atol=TOLERANCE)

  # Gradients, saved as if they were weights, go the way that weights go.
  with torch.no_grad():
    for weight in model.parameters():
      weight.copy_(0 * weight if weight.grad is None else weight.grad)
  model.float().save_pretrained(tmp_path / "gradients")
  wanted = read_stream(tmp_path / "gradients", side).params
  flat = traverse_util.flatten_dict(gradients, sep="/")
  largest = 0.0
  for path, gradient in wanted.items():
    found = np.asarray(flat[path])[: len(gradient)]
    np.testing.assert_allclose(
      found, gradient, rtol=0, atol=TOLERANCE, err_msg=path
    )
    assert np.abs(gradient).max() > 100 * TOLERANCE or "key/bias" in path, path
    largest = max(largest, np.abs(gradient).max())
  assert wanted.keys() <= {path for path in flat if path.startswith(root)}
  assert largest > 0.1


@pytest.mark.parametrize("side", [12, 20])
def test_states_of_dinov2_with_layer_scale(side, tmp_path):
  """Also if it resizes its position table to the pictures, of 12 pixels."""
  model = hf_models.make("Dinov2Model", image_size=side)
  model.save_pretrained(tmp_path / "model")
  hf_models.change_json(
    tmp_path / "model" / "preprocessor_config.json",
    image_processor_type="BitImageProcessor",
    crop_size=12,
  )
  config, params = convert_with_partner(tmp_path, "vision")
  x = inputs()
  want = torch_states(model.double(), x, is_text=False).detach().numpy()
  got, _ = states_and_gradients(config, params, x, 1.0, is_text=False)
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


def test_settings_of_config_json_reach_the_encoder(tmp_path):
  """Epsilons, activation and number of heads."""
  odd = {"layer_norm_eps": 1e-3, "hidden_act": "gelu", "num_attention_heads": 2}
  model = hf_models.make("CLIPVisionModel", **odd)
  model.save_pretrained(tmp_path / "model")
  config, params = convert_with_partner(tmp_path, "vision")
  x = inputs()
  want = torch_states(model.double(), x, is_text=False).detach().numpy()
  got, _ = states_and_gradients(config, params, x, 1.0, is_text=False)
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)
  # The same weights under CLIP's usual settings are another encoder.
  usual = hf_models.make("CLIPVisionModel").double()
  other = torch_states(usual, x, is_text=False).detach().numpy()
  assert np.abs(other - want).max() > 1e-3
