"""Edges between neighbouring boxes, for pictures with unknown relations."""

import numpy as np

MAX_EDGES = 3
_NEAR = 0.25


def edges(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Connects boxes that overlap or are near each other.

  Two boxes are candidates if they share area, or if their centres are less than
  a quarter of the picture's diagonal apart. The nearest pairs come first, and
  no box gets more than three edges.

  Args:
    boxes: float[M, 4] of (x0, y0, x1, y1) in pixels, x0 < x1 and y0 < y1.
    size: (width, height) of the picture in pixels.

  Returns:
    int64[E, 2] with i < j in each edge, nearest first, then by i and j.
  """
  boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
  first, second = np.triu_indices(len(boxes), k=1)
  a, b = boxes[first], boxes[second]
  low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
  overlap = np.all(low < high, axis=1)
  centres = (boxes[:, :2] + boxes[:, 2:]) / 2
  apart = np.linalg.norm(centres[first] - centres[second], axis=1)
  candidates = overlap | (apart < _NEAR * np.hypot(*size))
  degree = np.zeros(len(boxes), np.int64)
  kept = []
  # Pairs are ordered by i and j, which a stable sort preserves among ties.
  for pair in np.argsort(apart, kind="stable"):
    ends = [first[pair], second[pair]]
    if candidates[pair] and (degree[ends] < MAX_EDGES).all():
      degree[ends] += 1
      kept.append(ends)
  return np.array(kept, np.int64).reshape(-1, 2)
