"""Normalised pixels and patches."""

import functools

import jax
import numpy as np
import pytest
import tiny

from ifa_jax import Batch
from ifa_jax.models import VisionConfig, build
from ifa_jax.models.encoders import two_stream, vision

CONFIG = VisionConfig(image_mean=(0.1, 0.2, 0.3), image_std=(0.5, 1.0, 2.0))
MASK = np.array([[True, False], [False, True]])


def pixels(dtype):
  drawn = np.random.default_rng(0).integers(1, 256, (2, 2, 4, 4, 3))
  return drawn.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_absent_pixels_are_exactly_zero(dtype):
  found = np.asarray(vision.normalise(pixels(dtype), MASK, CONFIG))
  assert (found[~MASK] == 0).all()
  assert (found[MASK] != 0).all()


def test_nan_does_not_pass_a_mask():
  bad = np.full((2, 2, 4, 4, 3), np.nan, np.float32)
  assert (np.asarray(vision.normalise(bad, MASK & False, CONFIG)) == 0).all()


def test_bytes_are_normalised_by_channel_and_floats_are_not():
  there = np.ones((2, 2), bool)
  wanted = (pixels("float64") / 255 - CONFIG.image_mean) / CONFIG.image_std
  found = vision.normalise(pixels("uint8"), there, CONFIG)
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
  floats = pixels("float32")
  np.testing.assert_array_equal(vision.normalise(floats, there, CONFIG), floats)


def test_patches_are_ordered_by_picture_row_and_column():
  numbers = np.arange(2 * 2 * 4 * 6 * 3).reshape(2, 2, 4, 6, 3)[:, :, :, :4]
  found = np.asarray(vision.cut_patches(numbers, 2))
  wanted = [
    numbers[:, picture, row : row + 2, column : column + 2].reshape(2, -1)
    for picture in range(2)
    for row in (0, 2)
    for column in (0, 2)
  ]
  np.testing.assert_array_equal(found, np.stack(wanted, axis=1))


def test_captured_mask_is_of_the_tokens_that_exist():
  config = tiny.tiny_config(num_layers=1)
  batch = tiny.random_batch(config, 4)
  params = tiny.perturbed_params(config)
  found = build(config).apply({"params": params}, batch, capture=True)
  fields = (("image", 16), ("grounded", 16), ("detected", 4))
  masks = [
    np.repeat(getattr(batch, f"{field}_mask").reshape(4, -1), count, axis=1)
    for field, count in fields
  ]
  expected = np.concatenate([np.ones((4, 1), bool), *masks], axis=1)
  np.testing.assert_array_equal(found.visual_mask, expected)
  assert 0 < expected.mean() < 1


@pytest.mark.parametrize("masked", [True, False])
def test_a_stream_is_read_with_or_without_absent_crops(masked):
  config = VisionConfig(
    image_size=8,
    patch_size=2,
    num_crops=1,
    hidden_dim=8,
    num_layers=2,
    num_heads=2,
    mlp_dim=8,
  )
  rules = two_stream.StreamRules(absent_masked=masked)
  stream = vision.VisualStream(config, rules, np.dtype("float32"))
  rng = np.random.default_rng(0)
  ids = np.ones((2, 3), np.int32)
  ones, zeros = np.ones(2, np.int32), np.zeros((2, 1), bool)
  batch = Batch(
    ids,
    ids > 0,
    ids,
    ones,
    ones,
    image=rng.normal(size=(2, 8, 8, 3)).astype(np.float32),
    image_mask=np.ones(2, bool),
    grounded=rng.normal(size=(2, 1, 8, 8, 3)).astype(np.float32),
    grounded_mask=zeros,
  )
  read = functools.partial(stream.apply, method="read")
  run = jax.jit(lambda params, batch: read(params, batch, True, True))
  init = functools.partial(stream.init, method="read")
  params = jax.jit(lambda key: init(key, batch, True, True))(jax.random.key(0))
  states = run(params, batch)
  # The class token, 16 patches of the picture, 16 and maybe 4 of crops.
  count = 33 if masked else 37
  assert [state.hidden.shape for state in states] == [(2, count, 8)] * 3
  assert states[-1].mask[:, :17].all()
  assert not states[-1].mask[:, 17:].any()
  bare = run(params, batch.replace(grounded=None, grounded_mask=None))
  gap = np.abs(states[-1].hidden[:, :17] - bare[-1].hidden[:, :17]).max()
  # Without a field, a stream that keeps absent crops makes zero pixels.
  assert gap < 1e-6
  shown = batch.replace(grounded_mask=~zeros)
  other = run(params, shown)[-1].hidden[:, :17]
  assert np.abs(states[-1].hidden[:, :17] - other).max() > 1e-4
