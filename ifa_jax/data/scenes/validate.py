"""The arrays of a file of scenes, and everything that must hold of them.

N pictures, O objects, E edges, R sentences, H words, Dv the features' width.
"""

from collections.abc import Mapping

import numpy as np

from ifa_jax.data.scenes.arrays import PARTS

# Name -> kind of its entries and axes; "N+1" is one more than "N".
FORM = {
  "images": ("U", "N"),  # the pictures' file names
  "given": ("b", "N", len(PARTS)),  # whether the source tells each of PARTS
  "sizes": ("i", "N", 2),  # (width, height) in pixels
  "object_offsets": ("i", "N+1"),
  "boxes": ("f", "O", 4),
  "scores": ("f", "O"),
  "labels": ("i", "O"),  # number of a name, -1 for none
  "label_names": ("U", "L"),
  "features": ("f", "O", "Dv"),
  "edge_offsets": ("i", "N+1"),
  "edges": ("i", "E", 2),  # objects of the picture, from 0
  "edge_labels": ("i", "E"),
  "edge_label_names": ("U", "P"),
  "edge_scores": ("f", "E"),
  "rows": ("U", "R"),  # "test/12"
  "head_offsets": ("i", "R+1"),
  "heads": ("i", "H"),  # words of the sentence, from 0; -1 for a root
}

Arrays = Mapping[str, np.ndarray]


def check(arrays: Arrays, where: str) -> None:
  """Raises ValueError for the first thing wrong with a file's arrays.

  Args:
    arrays: as read from the file.
    where: the file's name, for messages, which name image or row as well.
  """
  _check_form(arrays, where)
  for unit, flat in (
    ("object", "scores"),
    ("edge", "edges"),
    ("head", "heads"),
  ):
    _check_offsets(arrays, f"{unit}_offsets", flat, where)
  _check_unique(arrays, where)
  _check_objects(arrays, where)
  _check_edges(arrays, where)
  _check_heads(arrays, where)


def _check_form(arrays: Arrays, where: str) -> None:
  """Checks names, types and shapes."""
  missing = sorted(FORM.keys() - arrays.keys())
  if missing:
    raise ValueError(f"{where}: wanted the array {missing[0]!r}, found none")
  lengths = {}
  for name, (kind, *axes) in FORM.items():
    array = arrays[name]
    if array.dtype.kind != kind or array.ndim != len(axes):
      raise ValueError(
        f"{where}: wanted {name} of kind {kind!r} with {len(axes)} axes, found"
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
          f"{where}: wanted {wanted} along an axis of {name}, found {length}"
        )


def _check_offsets(arrays: Arrays, name: str, flat: str, where: str) -> None:
  """Checks that offsets cut the array `flat` into parts without a rest."""
  offsets, length = arrays[name], len(arrays[flat])
  rising = len(offsets) > 0 and (np.diff(offsets) >= 0).all()
  if not rising or offsets[0] != 0 or offsets[-1] != length:
    raise ValueError(
      f"{where}: wanted {name} rising from 0 to {length}, found"
      f" {str(offsets.tolist())[:80]}"
    )


def _check_unique(arrays: Arrays, where: str) -> None:
  for name in ("images", "rows"):
    names, counts = np.unique(arrays[name], return_counts=True)
    if (counts > 1).any():
      raise ValueError(
        f"{where}: wanted distinct {name}, found {str(names[counts > 1][0])!r}"
        f" {counts.max()} times"
      )


def _check_objects(arrays: Arrays, where: str) -> None:
  """Checks what is known of each object."""
  owners = _owners(arrays, "object_offsets")
  refuse = _Refuser(where, arrays["images"][owners])
  given = dict(zip(PARTS, arrays["given"][owners].T, strict=True))
  boxes, scores = arrays["boxes"], arrays["scores"]
  ordered = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
  sizes = arrays["sizes"][owners]
  refuse("finite boxes", ~np.all(np.isfinite(boxes), axis=1), boxes)
  refuse("x0 < x1 and y0 < y1", given["boxes"] & ~ordered, boxes)
  in_parts = given["boxes"] & (boxes.max(axis=1) < 2)
  in_parts &= np.any(boxes % 1, axis=1)
  refuse("boxes in pixels, not in parts of 1", in_parts, boxes)
  refuse("a size above 0", given["boxes"] & (sizes <= 0).any(axis=1), sizes)
  refuse("finite scores", ~np.isfinite(scores), scores)
  rising = np.diff(scores, prepend=scores[:1]) > 0
  rising[1:] &= owners[1:] == owners[:-1]
  refuse("descending scores", rising, scores)
  features = arrays["features"]
  if features.shape[1]:
    # The two extremes are finite where all are, and need no room for a mask.
    ends = np.stack([features.min(axis=1), features.max(axis=1)], axis=1)
    refuse("finite features", ~np.all(np.isfinite(ends), axis=1), ends)
  elif given["features"].any():
    refuse("features of a width above 0", given["features"], scores)
  _check_names(arrays, "label", refuse)


def _check_edges(arrays: Arrays, where: str) -> None:
  """Checks what is known of each relation."""
  owners = _owners(arrays, "edge_offsets")
  refuse = _Refuser(where, arrays["images"][owners])
  edges, scores = arrays["edges"], arrays["edge_scores"]
  num_objects = np.diff(arrays["object_offsets"])[owners, None]
  outside = np.any((edges < 0) | (edges >= num_objects), axis=1)
  refuse("edges between the picture's objects", outside, edges)
  told = arrays["given"][owners, PARTS.index("edges")]
  refuse("no edge where none are given", ~told, edges)
  refuse("finite edge scores", ~np.isfinite(scores), scores)
  _check_names(arrays, "edge_label", refuse)


def _check_names(arrays: Arrays, name: str, refuse: "_Refuser") -> None:
  """Checks that numbers of names have a name."""
  numbers, names = arrays[f"{name}s"], arrays[f"{name}_names"]
  outside = (numbers < -1) | (numbers >= len(names))
  refuse(f"{name}s of {len(names)} names", outside, numbers)


def _check_heads(arrays: Arrays, where: str) -> None:
  """Checks that heads are other words of their sentence."""
  owners = _owners(arrays, "head_offsets")
  refuse = _Refuser(where, arrays["rows"][owners])
  heads, offsets = arrays["heads"], arrays["head_offsets"]
  outside = (heads < -1) | (heads >= np.diff(offsets)[owners])
  refuse("heads among the sentence's words, or -1", outside, heads)
  own = np.arange(len(heads)) - offsets[owners]
  refuse("no word that is its own head", heads == own, heads)


def _owners(arrays: Arrays, offsets: str) -> np.ndarray:
  """Returns int[n]: the picture or sentence that each entry belongs to."""
  counts = np.diff(arrays[offsets])
  return np.repeat(np.arange(len(counts)), counts)


class _Refuser:
  """Raises ValueError for bad entries, naming the file and their owner."""

  def __init__(self, where: str, names: np.ndarray):
    self._where = where
    self._names = names

  def __call__(self, wanted: str, bad: np.ndarray, found: np.ndarray) -> None:
    if bad.any():
      first = int(bad.argmax())
      raise ValueError(
        f"{self._where}: {str(self._names[first])!r}: wanted {wanted}, found"
        f" {found[first].tolist()}"
      )
