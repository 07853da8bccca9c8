"""Crops of a picture to vectors: the features of a scene's regions.

    pixels           the crop resized to 8 x 8 pixels, for data without an
                     encoder
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


def load(source: str) -> "RegionEncoder":
  """Returns an encoder.

  Args:
    source: "pixels", "pyramid:" and a ResNet, or a folder.

  Raises:
    ValueError: if it cannot be read, see `read` of its module.
  """
  if source.startswith(_PYRAMID):
    return PyramidEncoder(source.removeprefix(_PYRAMID))
  return Pixels() if source == "pixels" else VisionEncoder(source)


def find(features: Mapping[str, Any], folder: str | os.PathLike) -> str:
  """Returns the encoder of scenes' features, for `load`.

  Args:
    features: `features` of the scenes' manifest.
    folder: of the trained model. A shared one brings the encoder.
  """
  if "folder" not in features:
    return "pixels"
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


RegionEncoder = Pixels | VisionEncoder | PyramidEncoder
