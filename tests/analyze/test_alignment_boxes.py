"""Positions of crops, compared with the pixels that `decode` keeps."""

import numpy as np
import pytest
from PIL import Image

from ifa_jax.analyze.alignment import boxes
from ifa_jax.data.images import decode


def ramps(width, height):
  """Returns a picture whose red encodes x and whose green encodes y."""
  x = np.linspace(0, 255, width)[None].repeat(height, 0)
  y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
  pixels = np.stack([x, y, np.zeros_like(x)], axis=-1)
  return Image.fromarray(np.rint(pixels).astype(np.uint8))


def seen(square, width, height):
  """Returns the pixel of `ramps` at the middle of a square."""
  middle = square.shape[0] // 2
  around = square[middle - 1 : middle + 1, middle - 1 : middle + 1, :2]
  x, y = around.mean(axis=(0, 1)) / 255
  return x * (width - 1) + 0.5, y * (height - 1) + 0.5


SIZES = [(400, 300), (300, 400), (64, 64), (1000, 120), (333, 217)]


@pytest.mark.parametrize("size", SIZES)
def test_kept_matches_fit(size):
  square = decode.fit(ramps(*size), 64)
  x0, y0, x1, y1 = boxes.kept(np.array(size), 64, "fit")
  assert x1 - x0 == pytest.approx(min(size), abs=size[0] / 64)
  found = seen(square, *size)
  assert found == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=3)


@pytest.mark.parametrize("size", SIZES)
def test_crop_and_patches_have_the_same_centre(size):
  width, height = size
  box = (0.4 * width, 0.3 * height, 0.55 * width, 0.8 * height)
  crop = decode.fit(decode.cut(ramps(*size), box), 32)
  place = boxes.place(box, size, 64, 32)
  x0, y0, x1, y1 = place.grid
  left, top, right, bottom = boxes.kept(np.array(size), 64, "fit")
  middle = (
    left + (x0 + x1) / 2 * (right - left),
    top + (y0 + y1) / 2 * (bottom - top),
  )
  assert seen(crop, *size) == pytest.approx(middle, abs=0.02 * max(size))


def test_a_squashed_square_has_all_of_the_picture():
  place = boxes.place((100, 0, 200, 150), (400, 300), 60, 16, "squash")
  assert place.box == pytest.approx((0.25, 0, 0.5, 0.5))
  assert place.grid == pytest.approx(place.box)
  square = decode.fit(ramps(400, 300), 64, "squash")
  assert seen(square, 400, 300) == pytest.approx((200, 150), abs=5)


def test_boxes_are_fractions_of_the_square():
  # Of 400 x 300 pixels the columns 50 to 350 are kept.
  place = boxes.place((50, 0, 200, 150), (400, 300), 60, 16)
  assert place.box == pytest.approx((0, 0, 0.5, 0.5))
  assert place.grid == pytest.approx(place.box)


def test_boxes_are_clipped_and_patches_are_not():
  place = boxes.place((0, -9, 140.5, 150), (400, 300), 60, 64)
  # Pixels 0 to 141 by 0 to 150: the middle 141 rows are read.
  assert place.box == pytest.approx((0, 0, (141 - 50) / 300, 0.5))
  x0, y0, x1, y1 = place.grid
  assert x0 == pytest.approx(-50 / 300)
  assert x1 - x0 == pytest.approx(y1 - y0, abs=0.01)
  assert 0 < y0 < y1 < 0.5


def test_box_outside_the_square_is_none():
  place = boxes.place((0, 0, 40, 300), (400, 300), 60, 16)
  assert place.box is None


def test_objects_have_the_position_of_their_box():
  # Of 640 x 480 pixels the columns 80 to 560 are kept.
  place = boxes.place((80, 0, 320, 120.5), (640, 480), 480, None)
  assert place.box == pytest.approx((0, 0, 0.5, 120.5 / 480))
  assert place.grid == place.box
  outside = boxes.place((0, 0, 70, 99), (640, 480), 480, None)
  assert outside.box is None
  over = boxes.place((560 - 48, 0, 640, 480), (640, 480), 480, None)
  assert over.box == pytest.approx((0.9, 0, 1, 1))


def overlapping_grids(rng, num):
  """Returns grids of 1, 4 or 9 patches, some beyond the square."""
  grids = []
  for i in range(num):
    x0, y0 = rng.uniform(-0.2, 0.8, 2)
    width, height = rng.uniform(0.1, 0.6, 2)
    side = 1 + i % 3
    grids.append(((x0, y0, x0 + width, y0 + height), rng.random((side, side))))
  return grids


def loop_largest(grids, x, y):
  """Returns the largest weight of the patches that contain a point."""
  largest = 0.0
  for (x0, y0, x1, y1), weights in grids:
    side = len(weights)
    for row in range(side):
      for column in range(side):
        left = x0 + (x1 - x0) * column / side
        top = y0 + (y1 - y0) * row / side
        inside = left <= x < left + (x1 - x0) / side
        if inside and top <= y < top + (y1 - y0) / side:
          largest = max(largest, weights[row, column])
  return largest


@pytest.mark.parametrize("num", [1, 9])
def test_overlapping_patches_show_the_largest_weight(num):
  rng = np.random.default_rng(num)
  grids = overlapping_grids(rng, num)
  pixels = boxes.heat(grids, 50)
  assert pixels.shape == (50, 50)
  assert pixels.max() > 0
  for row, column in rng.integers(0, 50, (300, 2)):
    x, y = (column + 0.5) / 50, (row + 0.5) / 50
    assert pixels[row, column] == loop_largest(grids, x, y)


def test_equal_weights_do_not_add_up():
  small = (0, 0, 1, 1), np.array([[0.2]])
  np.testing.assert_array_equal(
    boxes.heat([small] * 9, 8), boxes.heat([small], 8)
  )
