"""Pictures and crops to the pyramid of a ResNet: the features of HVPNeT.

The weights are those of ResNet-50 as torchvision, timm and transformers publish
them, or a folder that `copy` wrote for a shared model. Pictures are prepared as
zjunlp/HVPNeT@410bd0c does (run.py:148-153): the shorter side to 256 pixels,
bilinear, the centre of 224, ImageNet's mean and deviation.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from PIL import Image

from ifa_jax.convert import resnet as converter
from ifa_jax.convert import sources
from ifa_jax.files import dataclass_dict, params_file
from ifa_jax.models.encoders import resnet
from ifa_jax.models.encoders.resnet import ResNet, ResNetConfig
from ifa_jax.workdir.run_folder import RunFolder

_CONFIG = "config.json"
# Of transformers' ResNets: settings of another function of the same weights.
_FIXED = {"downsample_in_bottleneck": False, "hidden_act": "relu"}
# A picture and three objects, HVPNeT's four regions.
NUM_OBJECTS = 3
_BATCH_SIZE = 1 + NUM_OBJECTS
_SHORT_SIDE, _SIZE = 256, 224
# Resizing the shorter side of longer pictures takes much memory, for pixels
# that are cut off.
_MAX_ASPECT = 32


class PyramidEncoder:
  """The maps of a ResNet's stages, each pooled to 2 x 2.

  Attributes:
    dim: number of features, 15 360 of ResNet-50.
    num_objects: of a picture's best boxes, by default.
    with_picture: the whole picture is the first region of a scene.
  """

  num_objects = NUM_OBJECTS
  with_picture = True

  def __init__(self, source: str):
    """Loads the ResNet onto the device; raises as `read`."""
    config, params = read(source)
    arrays: Any = traverse_util.flatten_dict(params, sep="/")
    self.dim = 4 * sum(config.stage_dims)
    self._description = {
      "kind": "pyramid",
      "folder": source,
      "dim": self.dim,
      "image_size": _SIZE,
      "num_params": sum(array.size for array in arrays.values()),
      "sha256": params_file.digest(
        {path: arrays[path] for path in sorted(arrays)}
      ),
    }
    self._params = jax.device_put(params)
    network = ResNet(config)

    @jax.jit
    def step(params: Mapping[str, Any], pixels: jax.Array) -> jax.Array:
      # GPUs and TPUs round the factors of float32 products by default.
      with jax.default_matmul_precision("float32"):
        return resnet.pyramid(network.apply({"params": params}, pixels))  # pyright: ignore[reportArgumentType]

    self._step = step

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """Returns float32[n, dim] of n RGB pictures of any size."""
    encoded = [np.zeros((0, self.dim), np.float32)]
    for start in range(0, len(crops), _BATCH_SIZE):
      batch = crops[start : start + _BATCH_SIZE]
      # One shape is one compilation: a short batch is padded with zeros.
      pixels = np.zeros((_BATCH_SIZE, _SIZE, _SIZE, 3), np.float32)
      for i, crop in enumerate(batch):
        pixels[i] = _normalised(crop)
      encoded.append(np.asarray(self._step(self._params, pixels))[: len(batch)])
    return np.concatenate(encoded)

  def absent(self) -> np.ndarray:
    """Returns float32[dim], the features of a picture of zeros.

    The released code fills up its regions with such pictures, which are zero
    after the normalisation: the mean colour, not black.
    """
    zeros = np.zeros((_BATCH_SIZE, _SIZE, _SIZE, 3), np.float32)
    return np.asarray(self._step(self._params, zeros))[0]

  def describe(self) -> dict[str, Any]:
    """Returns `kind`, `dim`, and everything that identifies the encoder."""
    return dict(self._description)


def read(source: str) -> tuple[ResNetConfig, dict[str, Any]]:
  """Returns a ResNet's sizes and float32 parameters.

  Args:
    source: a file of weights, a folder of a model, or a folder of `copy`.

  Raises:
    ValueError: if it is none of these, or damaged.
  """
  if os.path.isfile(source):
    return converter.convert(sources.read_weights(source), source)
  if not os.path.isdir(source):
    raise ValueError(f"{source}: expected a ResNet's file or folder, got none")
  found = sources.Source(source, source)
  if "stage_dims" not in (config := found.read_json(_CONFIG) or {}):
    for name, expected in _FIXED.items():
      if (given := config.get(name, expected)) != expected:
        raise ValueError(
          f"{source}/{_CONFIG}: {name}: expected {expected}, got {given}"
        )
    arrays = {}
    for path in found.weight_files():
      arrays |= sources.read_weights(path)
    return converter.convert(arrays, source)
  sizes = dataclass_dict.from_dict(ResNetConfig, config)
  pixels = jax.ShapeDtypeStruct((1, _SIZE, _SIZE, 3), np.float32)
  like: Any = jax.eval_shape(ResNet(sizes).init, jax.random.key(0), pixels)
  path = os.path.join(source, params_file.FILE)
  return sizes, params_file.read(path, like["params"])


def copy(source: str, folder: str | os.PathLike) -> None:
  """Writes a ResNet to a new folder, for `read`."""
  config, params = read(source)
  os.mkdir(folder)
  RunFolder(folder).write_json(_CONFIG, dataclasses.asdict(config))
  params_file.write(os.path.join(folder, params_file.FILE), params)


def _normalised(picture: Image.Image) -> np.ndarray:
  """Returns float32[size, size, 3], as torchvision transforms a PIL image."""
  picture = _without_ends(picture)
  short = min(picture.size)
  width, height = (
    _SHORT_SIDE if side == short else int(_SHORT_SIDE * side / short)
    for side in picture.size
  )
  resized = picture.resize((width, height), Image.Resampling.BILINEAR)
  # CenterCrop rounds half to even, as `round`.
  left, top = (round((side - _SIZE) / 2) for side in resized.size)
  square = resized.crop((left, top, left + _SIZE, top + _SIZE))
  pixels = np.asarray(square, np.float32) / 255
  mean, std = (np.array(x, np.float32) for x in (resnet.MEAN, resnet.STD))
  return (pixels - mean) / std


def _without_ends(picture: Image.Image) -> Image.Image:
  """Returns the middle of a picture that is too long; see `_MAX_ASPECT`."""
  most = _MAX_ASPECT * min(picture.size)
  left, top = (max(0, side - most) // 2 for side in picture.size)
  width, height = picture.size
  return picture.crop((left, top, width - left, height - top))
