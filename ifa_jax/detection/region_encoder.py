"""Crops of a picture to vectors: what a scene says of each of its regions.

    pixels   the crop shrunk to 8 x 8 pixels, for data without an encoder
    FOLDER   a vision encoder that `python -m ifa_jax.convert` wrote

Other detectors' own features come with their scenes and pass by this module.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from PIL import Image

from ifa_jax.convert import store
from ifa_jax.data.images import decode
from ifa_jax.detection import encoder_folder
from ifa_jax.models import ModelConfig, parameters
from ifa_jax.models.config import Exchange, VisionConfig
from ifa_jax.models.encoders.vision import VisualStream

# Side in pixels: 8 x 8 shows outlines, and 192 numbers are few.
_SIDE = 8
# Crops that are encoded at once. A picture has 36 at most by default.
_BATCH_SIZE = 12
# An encoder of single pictures reads neither of these.
_CROP_TABLES = ("embed/grounded_position", "embed/detected_position")


class RegionEncoder(Protocol):
  """Maps crops of any size to vectors.

  Attributes:
    dim: Dv, the width of a vector.
  """

  dim: int

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """Returns float32[n, Dv] of n pictures in RGB."""
    ...

  def describe(self) -> dict[str, Any]:
    """Returns `kind`, `dim`, and what tells these vectors from others."""
    ...


def load(source: str) -> RegionEncoder:
  """Returns the encoder "pixels", or that of a folder of converted weights.

  Raises:
    ValueError: for a folder without converted weights, or without a vision
      encoder in them.
  """
  return Pixels() if source == "pixels" else VisionEncoder(source)


def find(features: Mapping[str, Any], folder: str | os.PathLike) -> str:
  """Returns the encoder of scenes' features, as `load` takes it.

  Args:
    features: `features` of the scenes' manifest.
    folder: of the trained model. If it is a shared one, it brings the encoder.
  """
  brought = os.path.join(folder, encoder_folder.FOLDER)
  if os.path.isdir(brought):
    return brought
  return features.get("folder", "pixels")


def read(folder: str | os.PathLike) -> tuple[ModelConfig, dict[str, Any]]:
  """Returns a model's config and its visual stream's parameters.

  Args:
    folder: of converted weights, or of a shared model's encoder.

  Raises:
    ValueError: if the folder holds neither, or if the visual stream is absent
      or keeps its initialisation.
  """
  if encoder_folder.is_encoder(folder):
    return encoder_folder.read(folder)
  config, params, provenance = store.load_converted(folder)
  if not isinstance(config, ModelConfig) or config.vision is None:
    raise ValueError(
      f"{folder}: want a vision encoder, found a model without one"
      f" ({config.system})"
    )
  arrays = _read_by_encoder(params["visual"])
  fresh = {f"visual/{path}" for path in arrays} & {
    *provenance.get("initialised", ())
  }
  if fresh:
    raise ValueError(
      f"{folder}: want a converted vision encoder, found {len(fresh)}"
      f" parameters that keep their initialisation ({min(fresh)} first)"
    )
  return config, params["visual"]


class Pixels:
  """The pixels of a crop, stretched to a square of 8 x 8.

  Row by row, then channel; 0 to 255 become -1 to 1. As good as blind to what
  natural pictures show, and enough for drawn ones.
  """

  dim = 3 * _SIDE**2

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """See `RegionEncoder.encode`."""
    # PIL's filters average over all that a shrunk pixel covers.
    squares = [
      np.asarray(crop.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
      for crop in crops
    ]
    pixels = np.asarray(squares, np.float32).reshape(len(squares), self.dim)
    return pixels / 127.5 - 1

  def describe(self) -> dict[str, Any]:
    """See `RegionEncoder.describe`."""
    return {"kind": "pixels", "side": _SIDE, "dim": self.dim}


class VisionEncoder:
  """The class token of a ViT or CLIP after its last layer.

  That is the residual stream, before the norm that ViT and CLIP put behind it:
  the state that `transformers` has as `hidden_states[-1][:, 0]` of either. The
  model that IFAformer is has no such norm, so none is converted.
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads the vision encoder onto the device.

    Raises:
      ValueError: as `read`.
    """
    config, visual = read(folder)
    arrays = _read_by_encoder(visual)
    vision: Any = config.vision  # `read` refuses a model without.
    self.dim = vision.hidden_dim
    self._size = vision.image_size
    self._description = {
      "kind": "encoder",
      "folder": os.fspath(folder),
      "state": "class token of the last layer, before the final norm",
      "dim": self.dim,
      "image_size": self._size,
      "num_params": sum(array.size for array in arrays.values()),
      "sha256": _digest(arrays),
    }
    self._params = jax.device_put({"visual": visual})
    self._step = _make_step(config)

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """See `RegionEncoder.encode`; the longer side of a crop is cut off."""
    found = [
      self._encode_batch(crops[start : start + _BATCH_SIZE])
      for start in range(0, len(crops), _BATCH_SIZE)
    ]
    return np.concatenate([np.zeros((0, self.dim), np.float32), *found])

  def describe(self) -> dict[str, Any]:
    """See `RegionEncoder.describe`; `sha256` is of the parameters."""
    return dict(self._description)

  def _encode_batch(self, crops: Sequence[Image.Image]) -> np.ndarray:
    # One shape is one compilation: what lacks is filled up with black.
    squares = np.zeros((_BATCH_SIZE, self._size, self._size, 3), np.uint8)
    for i, crop in enumerate(crops):
      squares[i] = decode.fit(crop, self._size)
    return np.asarray(self._step(self._params, squares))[: len(crops)]


class _Encoder(nn.Module):
  """The visual stream alone, under the names that weights are stored by."""

  config: VisionConfig

  def setup(self):
    """Declares `visual`."""
    # The whole picture with its class token, as ViT and CLIP read it.
    self.visual = VisualStream(self.config, Exchange(), jnp.float32)

  def __call__(self, batch: Any) -> jax.Array:
    """Returns the class tokens of a batch's pictures, float32[B, D]."""
    hidden = self.visual.embed(batch, use_image=True, use_objects=False).hidden
    no_bias = jnp.zeros(hidden.shape[:2], jnp.float32)
    for layer in self.visual.layer:
      query, own = layer.project(hidden)
      attended = layer.attend(query, own, None, no_bias)
      hidden = layer.update(hidden, attended.values)
    return hidden[:, 0]


def _make_step(config: ModelConfig) -> Any:
  """Returns the compiled (params, uint8[B, size, size, 3]) -> float32[B, D]."""
  encoder: Any = _Encoder(config.vision)  # pyright: ignore[reportArgumentType]

  @jax.jit
  def step(params: Mapping[str, Any], squares: jax.Array) -> jax.Array:
    rows = len(squares)
    batch = parameters.blank_batch(config, rows).replace(
      image=squares, image_mask=jnp.ones(rows, bool)
    )
    # GPUs and TPUs round the factors of float32 products by default.
    with jax.default_matmul_precision("float32"):
      return encoder.apply({"params": params}, batch)

  return step


def _read_by_encoder(visual: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns path -> array of the parameters that bear on the vectors."""
  flat: dict[str, Any] = traverse_util.flatten_dict(visual, sep="/")
  return {path: flat[path] for path in sorted(flat) if path not in _CROP_TABLES}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
  """Returns the sha256 of names, shapes and values."""
  digest = hashlib.sha256()
  for path, array in arrays.items():
    digest.update(f"{path} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array, np.float32).data)
  return digest.hexdigest()
