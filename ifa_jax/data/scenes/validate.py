"""Validation of the arrays of a file of scenes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ifa_jax.data.scenes.arrays import ABSENT, FORM, PARTS

Arrays = Mapping[str, np.ndarray]
# A condition, where entries violate it, and the values to show.
Rule = tuple[str, Any, np.ndarray]


def check(arrays: Arrays, where: str, refuse_parts: bool = False) -> None:
  """Raises ValueError for the first error, naming `where` and image or row.

  Args:
    arrays: of a split.
    where: the file or the split, for errors.
    refuse_parts: refuse small boxes that may be in fractions of the picture.
      Where boxes are known to be in pixels, an object may be that small.
  """
  _check_form(arrays, where)
  _check_absent(arrays, where)
  for name in ("images", "rows"):
    names, counts = np.unique(arrays[name], return_counts=True)
    if (counts > 1).any():
      raise ValueError(
        f"{where}: expected distinct {name}, got {str(names[counts > 1][0])!r}"
        f" {counts.max()} times"
      )
  listed = [
    ("images", "object", _object_rules),
    ("images", "edge", _edge_rules),
    ("rows", "head", _head_rules),
  ]
  if refuse_parts:
    listed.append(("images", "object", _pixel_rules))
  for names, unit, rules in listed:
    counts = np.diff(arrays[f"{unit}_offsets"])
    # int[n]: the picture or sentence of each entry.
    owners = np.repeat(np.arange(len(counts)), counts)
    for condition, bad, found in rules(arrays, owners):
      if bad.any():
        first = int(bad.argmax())
        raise ValueError(
          f"{where}: {str(arrays[names][owners[first]])!r}: expected"
          f" {condition}, got {found[first].tolist()}"
        )


def _check_form(arrays: Arrays, where: str) -> None:
  """Checks names, types, shapes and offsets."""
  missing = sorted(FORM.keys() - arrays.keys())
  if missing:
    raise ValueError(f"{where}: expected the array {missing[0]!r}, got none")
  lengths = {}
  for name, (kind, *axes) in FORM.items():
    array = arrays[name]
    if array.dtype.kind != kind or array.ndim != len(axes):
      raise ValueError(
        f"{where}: expected {name} of kind {kind!r} with {len(axes)} axes, got"
        f" {array.dtype} with {array.ndim}"
      )
    for axis, length in zip(axes, array.shape, strict=True):
      if axis in ("N+1", "R+1"):
        axis, length = axis[0], length - 1
      wanted = (
        axis if isinstance(axis, int) else lengths.setdefault(axis, length)
      )
      if length != wanted:
        raise ValueError(
          f"{where}: expected {wanted} along an axis of {name}, got {length}"
        )
  for unit, axis in (("object", "O"), ("edge", "E"), ("head", "H")):
    offsets, length = arrays[f"{unit}_offsets"], lengths[axis]
    rising = len(offsets) > 0 and (np.diff(offsets) >= 0).all()
    if not rising or offsets[0] != 0 or offsets[-1] != length:
      raise ValueError(
        f"{where}: expected {unit}_offsets rising from 0 to {length}, got"
        f" {str(offsets.tolist())[:80]}"
      )


def _check_absent(arrays: Arrays, where: str) -> None:
  absent, width = arrays.get(ABSENT), arrays["features"].shape[1]
  if absent is None:
    return
  # A split without an object has no width.
  fits = absent.ndim == 1 and width in (0, len(absent))
  if absent.dtype.kind != "f" or not fits or not np.isfinite(absent).all():
    raise ValueError(
      f"{where}: expected {ABSENT} of {width} finite numbers, got"
      f" {absent.dtype} of shape {absent.shape}"
    )


def _object_rules(arrays: Arrays, owners: np.ndarray) -> Iterator[Rule]:
  given = dict(zip(PARTS, arrays["given"][owners].T, strict=True))
  boxes, scores = arrays["boxes"], arrays["scores"]
  ordered = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
  sizes = arrays["sizes"][owners]
  yield "finite boxes", ~np.isfinite(boxes).all(axis=1), boxes
  yield "x0 < x1 and y0 < y1", given["boxes"] & ~ordered, boxes
  yield "a size above 0", given["boxes"] & (sizes <= 0).any(axis=1), sizes
  yield "finite scores", ~np.isfinite(scores), scores
  rising = np.diff(scores, prepend=scores[:1]) > 0
  rising[1:] &= owners[1:] == owners[:-1]
  yield "descending scores", rising, scores
  features = arrays["features"]
  if features.shape[1]:
    # All values are finite if both extremes are; a mask would take more memory.
    ends = np.stack([features.min(axis=1), features.max(axis=1)], axis=1)
    yield "finite features", ~np.isfinite(ends).all(axis=1), ends
  else:
    yield "features of a width above 0", given["features"], scores
  yield _names_rule(arrays, "label")


def _pixel_rules(arrays: Arrays, owners: np.ndarray) -> Iterator[Rule]:
  boxes = arrays["boxes"]
  given = arrays["given"][owners, PARTS.index("boxes")]
  # As in `images.boxes.check_pixels`.
  in_parts = (boxes.max(axis=1) < 2) & (boxes % 1).any(axis=1)
  condition = "boxes in pixels, not in fractions of the picture"
  yield condition, given & in_parts, boxes


def _edge_rules(arrays: Arrays, owners: np.ndarray) -> Iterator[Rule]:
  edges, scores = arrays["edges"], arrays["edge_scores"]
  num_objects = np.diff(arrays["object_offsets"])[owners, None]
  outside = ((edges < 0) | (edges >= num_objects)).any(axis=1)
  yield "edges between the picture's objects", outside, edges
  given = arrays["given"][owners, PARTS.index("edges")]
  yield "no edge if relations are unknown", ~given, edges
  yield "finite edge scores", ~np.isfinite(scores), scores
  yield _names_rule(arrays, "edge_label")


def _head_rules(arrays: Arrays, owners: np.ndarray) -> Iterator[Rule]:
  heads, offsets = arrays["heads"], arrays["head_offsets"]
  outside = (heads < -1) | (heads >= np.diff(offsets)[owners])
  yield "heads among the sentence's words, or -1", outside, heads
  own = np.arange(len(heads)) - offsets[owners]
  yield "no word that is its own head", heads == own, heads


def _names_rule(arrays: Arrays, name: str) -> Rule:
  numbers, names = arrays[f"{name}s"], arrays[f"{name}_names"]
  outside = (numbers < -1) | (numbers >= len(names))
  return f"{name}s of {len(names)} names", outside, numbers
