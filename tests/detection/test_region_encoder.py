"""Vectors of crops: plain pixels, and vision encoders against PyTorch's."""

import hf_models
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from ifa_jax import models
from ifa_jax.convert import save_converted
from ifa_jax.convert.huggingface import conversion
from ifa_jax.data.images import decode
from ifa_jax.detection import region_encoder
from ifa_jax.models import config as sizes

pytestmark = pytest.mark.slow

# Never to be loosened.
TOLERANCE = 5e-6
SIDE = 12  # of the pictures that `hf_models` reads
# The published encoders of the two kinds scale pixels by these.
SCALES = {
  "CLIPVisionModel": (sizes.CLIP_MEAN, sizes.CLIP_STD),
  "ViTModel": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def crops(*shape, seed=0):
  """Returns n random pictures of a (width, height)."""
  count, width, height = shape
  rng = np.random.default_rng(seed)
  pixels = rng.integers(0, 256, (count, height, width, 3), np.uint8)
  return [Image.fromarray(picture) for picture in pixels]


def convert(folder, **encoders):
  """Converts encoders to a folder of weights and returns its path."""
  folder = folder / "weights"
  found = conversion.convert(
    encoders.get("text"), encoders.get("vision"), None, conversion.Options()
  )
  save_converted(folder, found.model_config, found.params, found.info)
  return str(folder)


def torch_class_tokens(model, kind, squares):
  """Returns float64[n, D] after the last layer, before any final norm."""
  mean, std = map(np.array, SCALES[kind])
  pixels = (np.stack(squares) / 255 - mean) / std
  states = hf_models.encoder(model.double())(
    pixel_values=torch.from_numpy(pixels).permute(0, 3, 1, 2),
    output_hidden_states=True,
  )
  return states.hidden_states[-1][:, 0].detach().numpy()


@pytest.mark.parametrize("kind", SCALES)
def test_class_tokens_are_those_of_pytorch(kind, tmp_path):
  model = hf_models.make(kind)
  model.save_pretrained(tmp_path / "model")
  hf_models.change_json(
    tmp_path / "model" / "preprocessor_config.json",
    **dict(zip(("image_mean", "image_std"), SCALES[kind], strict=True)),
  )
  encoder = region_encoder.load(convert(tmp_path, vision=tmp_path / "model"))
  # More than one batch, the last one with filler.
  listed = crops(14, SIDE, SIDE)
  want = torch_class_tokens(model, kind, [np.asarray(crop) for crop in listed])
  got = encoder.encode(listed)
  assert (got.shape, got.dtype) == ((14, encoder.dim), np.float32)
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)
  assert np.abs(want).max() > 0.1
  # A crop's vector does not depend on the others in its batch.
  np.testing.assert_allclose(
    encoder.encode(listed[13:]), want[13:], rtol=0, atol=TOLERANCE
  )
  assert encoder.encode([]).shape == (0, encoder.dim)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
  folder = tmp_path_factory.mktemp("clip")
  return convert(folder, vision=hf_models.save(folder / "m", "CLIPVisionModel"))


def test_crops_of_any_size_are_fitted_to_the_encoder(weights):
  encoder = region_encoder.load(weights)
  wide, tall = *crops(1, 40, 15), *crops(1, 3, 9, seed=1)
  fitted = [decode.fit(crop, SIDE) for crop in (wide, tall)]
  want = encoder.encode([Image.fromarray(square) for square in fitted])
  np.testing.assert_array_equal(encoder.encode([wide, tall]), want)
  assert not np.allclose(want[0], want[1])


def test_an_encoder_is_identified_by_its_parameters(weights, tmp_path):
  described = region_encoder.load(weights).describe()
  assert described["kind"] == "encoder"
  assert described["folder"] == weights
  assert described["dim"] == 24
  assert described["num_params"] == sum(
    weight.numel()
    for name, weight in hf_models.make("CLIPVisionModel").named_parameters()
    if "post_layernorm" not in name
  )
  # The text encoder does not matter, one other weight does.
  other = hf_models.save(tmp_path / "other", "CLIPVisionModel", seed=1)
  text = hf_models.save(tmp_path / "text", "BertModel")
  same = hf_models.save(tmp_path / "same", "CLIPVisionModel")
  for folder, vision in (("a", same), ("b", other)):
    path = convert(tmp_path / folder, vision=vision, text=text)
    found = region_encoder.load(path).describe()
    assert (found["sha256"] == described["sha256"]) == (vision == same)


def test_the_model_around_an_encoder_does_not_matter(tmp_path):
  config = tiny.tiny_config()
  params = tiny.perturbed_params(config)
  found = []
  for name, changes in (
    ("paper", {}),
    ("released", {"fusion": "released"}),
    ("blind", {"use_image": False}),
  ):
    save_converted(tmp_path / name, models.replace(config, **changes), params)
    encoder = region_encoder.load(str(tmp_path / name))
    found.append(encoder.encode(crops(3, 16, 16)))
  np.testing.assert_array_equal(found[1], found[0])
  np.testing.assert_array_equal(found[2], found[0])


def test_weights_without_a_vision_encoder_are_refused(tmp_path):
  with pytest.raises(ValueError, match="expected a folder that python -m"):
    region_encoder.load(str(tmp_path))
  text = hf_models.save(tmp_path / "text", "BertModel")
  with pytest.raises(ValueError, match=r"initialisation \(visual/embed"):
    region_encoder.load(convert(tmp_path, text=text))
  config = models.replace(tiny.tiny_config(), vision=None)
  blind = tmp_path / "blind"
  save_converted(blind, config, tiny.perturbed_params(config))
  with pytest.raises(ValueError, match=r"got one without \(ifaformer\)"):
    region_encoder.load(str(blind))


def test_pixels_are_the_means_of_flat_crops():
  encoder = region_encoder.load("pixels")
  assert encoder.describe() == {"kind": "pixels", "side": 8, "dim": 192}
  red = Image.new("RGB", (30, 50), (255, 0, 51))
  halves = Image.new("RGB", (64, 16), "white")
  halves.paste((0, 0, 0), (0, 0, 32, 16))
  found = encoder.encode([red, halves])
  assert (found.shape, found.dtype) == ((2, encoder.dim), np.float32)
  squares = found.reshape(2, 8, 8, 3)
  np.testing.assert_allclose(squares[0], np.full((8, 8, 3), [1, -1, -0.6]))
  # Stretched, not cut: both halves are there, left before right.
  assert (squares[1, :, :3] < -0.9).all()
  assert (squares[1, :, 5:] > 0.9).all()
  assert encoder.encode([]).shape == (0, encoder.dim)
