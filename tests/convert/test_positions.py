"""Position tables for another size, against PyTorch's interpolation."""

import numpy as np
import pytest
import torch

from ifa_jax.convert.huggingface.positions import resize_positions


def table(side, width=5, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(1 + side**2, width)).astype(np.float32)


@pytest.mark.parametrize(("old", "new"), [(7, 14), (14, 7), (3, 5), (37, 16)])
def test_equals_pytorch_without_smoothing(old, new):
  given = table(old)
  grid = torch.from_numpy(given[1:]).reshape(1, old, old, -1)
  want = torch.nn.functional.interpolate(
    grid.permute(0, 3, 1, 2), (new, new), mode="bicubic"
  )
  want = want.permute(0, 2, 3, 1).reshape(new**2, -1).numpy()
  got = resize_positions(given, new)
  assert got.shape == (1 + new**2, 5)
  np.testing.assert_array_equal(got[0], given[0])
  np.testing.assert_allclose(got[1:], want, rtol=0, atol=2e-6)


def test_the_same_size_returns_the_table():
  given = table(4)
  assert resize_positions(given, 4) is given


def test_rows_and_columns_are_not_swapped():
  ramp = np.zeros((1 + 16, 2), np.float32)
  ramp[1:, 0] = np.repeat(np.arange(4), 4)
  ramp[1:, 1] = np.tile(np.arange(4), 4)
  rows, columns = resize_positions(ramp, 8)[1:].reshape(8, 8, 2).T
  assert (np.diff(rows, axis=1) > 0).all()
  np.testing.assert_allclose(np.diff(rows, axis=0), 0, atol=1e-6)
  np.testing.assert_allclose(rows, columns.T, atol=1e-6)


def test_no_square_grid():
  with pytest.raises(ValueError, match=r"expected 1 \+ n\^2 rows, got 12"):
    resize_positions(np.zeros((12, 3), np.float32), 4)
