"""Edges between neighbouring boxes."""

import numpy as np
import pytest

from ifa_jax.data.scenes import spatial

# The diagonal is 1000 pixels, a quarter of it 250.
SIZE = (600, 800)


def edges(*boxes):
  return spatial.edges(np.array(boxes, np.float32), SIZE).tolist()


@pytest.mark.parametrize(
  ("a", "b", "connected"),
  [
    # Centres 251 and 249 pixels apart.
    ((0, 0, 10, 10), (251, 0, 261, 10), False),
    ((0, 0, 10, 10), (249, 0, 259, 10), True),
    # Long boxes that overlap in a corner, and that only touch.
    ((0, 0, 300, 10), (299, 9, 600, 20), True),
    ((0, 0, 300, 10), (300, 10, 600, 20), False),
    # One inside the other, far from its centre.
    ((0, 0, 600, 800), (0, 0, 10, 10), True),
  ],
)
def test_which_boxes_are_connected(a, b, connected):
  assert edges(a, b) == edges(b, a) == ([[0, 1]] if connected else [])


def test_no_box_gets_more_than_three_and_the_nearest_come_first():
  row = [(x, 0, x + 4, 4) for x in (0, 10, 21, 33, 46, 60)]
  found = edges(*row)
  lengths = [row[j][0] - row[i][0] for i, j in found]
  assert lengths == sorted(lengths)
  assert found[:5] == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]
  degree = np.bincount(np.ravel(found), minlength=6)
  assert degree.max() == spatial.MAX_EDGES
  # Taken one after the other, a pair is left out only if one end is full.
  taken = {tuple(pair) for pair in found}
  for i in range(6):
    for j in range(i + 1, 6):
      assert (i, j) in taken or max(degree[i], degree[j]) == 3


def test_equal_distances_go_by_place():
  same = [(5, 5, 9, 9)] * 5
  assert edges(*same) == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), [[1, 1, 5, 5]]])
def test_fewer_than_two_boxes_have_no_edge(boxes):
  found = spatial.edges(np.array(boxes), SIZE)
  assert (found.shape, found.dtype) == ((0, 2), np.int64)
