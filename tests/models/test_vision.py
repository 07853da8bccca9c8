"""Normalised pixels and patches."""

import numpy as np
import pytest
import tiny

from ifa_jax.models import VisionConfig, build
from ifa_jax.models.encoders import vision

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
