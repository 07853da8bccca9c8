"""Crops of a picture to vectors: the features of a scene's regions.

    pixels           the crop resized to 8 x 8 pixels, for data without an
                     encoder
    geometry         the place and the size of the crop, without its pixels
    FOLDER           a vision encoder, see `detection.vision_encoder`
    pyramid:RESNET   a ResNet-50, see `detection.pyramid_encoder`

A shared model has its encoder in `region_encoder/`. Features of other detectors
come with their scenes and are not made here.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ifa_jax.detection import pyramid_encoder, vision_encoder
from ifa_jax.detection.pyramid_encoder import PyramidEncoder
from ifa_jax.detection.vision_encoder import NUM_OBJECTS, VisionEncoder

FOLDER = "region_encoder"
_PYRAMID = "pyramid:"
# Side in pixels: 8 x 8 shows outlines, and 192 numbers are few.
_SIDE = 8
# Of the square that boxes are on if the form of their picture is unknown.
_SQUARE = 1000


def load(source: str) -> "RegionEncoder":
  """Returns an encoder.

  Args:
    source: "pixels", "geometry", "pyramid:" and a ResNet, or a folder.

  Raises:
    ValueError: if it cannot be read, see `read` of its module.
  """
  if source.startswith(_PYRAMID):
    return PyramidEncoder(source.removeprefix(_PYRAMID))
  if source in _WITHOUT_FOLDER:
    return _WITHOUT_FOLDER[source]()
  return VisionEncoder(source)


def find(features: Mapping[str, Any], folder: str | os.PathLike) -> str:
  """Returns the encoder of scenes' features, for `load`.

  Args:
    features: `features` of the scenes' manifest.
    folder: of the trained model. A shared one brings the encoder.
  """
  if "folder" not in features:
    return features.get("kind", "pixels")
  brought = os.path.join(folder, FOLDER)
  found = brought if os.path.isdir(brought) else features["folder"]
  is_pyramid = features.get("kind") == "pyramid"
  return f"{_PYRAMID}{found}" if is_pyramid else found


def copy(source: str, folder: str | os.PathLike) -> None:
  """Writes an encoder of `find` to a new folder of a shared model."""
  if source.startswith(_PYRAMID):
    pyramid_encoder.copy(source.removeprefix(_PYRAMID), folder)
  else:
    vision_encoder.copy(source, folder)


class Pixels:
  """The pixels of a crop, stretched to a square of 8 x 8.

  Row by row, then channel; 0 to 255 become -1 to 1. This hardly describes
  natural pictures, and is enough for drawn ones.
  """

  dim = 3 * _SIDE**2
  num_objects = NUM_OBJECTS
  with_picture = False

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """Returns float32[n, dim] of n RGB pictures of any size."""
    # PIL's filters average over all that a resized pixel covers.
    squares = [
      np.asarray(crop.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
      for crop in crops
    ]
    pixels = np.asarray(squares, np.float32).reshape(len(squares), self.dim)
    return pixels / 127.5 - 1

  def absent(self) -> None:
    """Absent regions have no features."""

  def describe(self) -> dict[str, Any]:
    """Returns `kind`, `dim`, and everything that identifies the encoder."""
    return {"kind": "pixels", "side": _SIDE, "dim": self.dim}


class Geometry:
  """The place and the size of a box, so that no picture is needed.

  Seven numbers from 0 to 1: x0, y0, x1, y1, width, height and area, as
  fractions of the picture's width, height and area. ViLBERT's five and the two
  sides, as UNITER. Neither label nor score is among them; a scene has both.

  Scenes have boxes on a square, whatever the form of the picture, which a
  dataset without pictures does not know.
  """

  dim = 7
  num_objects = NUM_OBJECTS
  with_picture = False
  size = (_SQUARE, _SQUARE)

  def encode(self, boxes: np.ndarray) -> np.ndarray:
    """Returns float32[n, 7] of float[n, 4] boxes on the square."""
    edges = np.asarray(boxes, np.float32) / _SQUARE
    sides = edges[:, 2:] - edges[:, :2]
    area = sides.prod(axis=1, keepdims=True)
    return np.concatenate([edges, sides, area], axis=1)

  def absent(self) -> None:
    """Absent regions have no features."""

  def describe(self) -> dict[str, Any]:
    """Returns `kind`, `dim`, and everything that identifies the encoder."""
    return {"kind": "geometry", "side": _SQUARE, "dim": self.dim}


RegionEncoder = Pixels | Geometry | VisionEncoder | PyramidEncoder
_WITHOUT_FOLDER = {"pixels": Pixels, "geometry": Geometry}
