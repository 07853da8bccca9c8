"""Crops of a picture to vectors by a vision encoder.

The encoder is a folder that `python -m ifa_jax.convert` wrote, or `copy` for a
shared model: the `config.json` of the model whose visual stream it is, and that
stream's `model.safetensors`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from PIL import Image

from ifa_jax.convert import store
from ifa_jax.data.images import decode
from ifa_jax.files import json_file, params_file
from ifa_jax.models import ModelConfig, parameters, registry
from ifa_jax.models.config import VisionConfig
from ifa_jax.models.encoders.vision import VisualStream
from ifa_jax.models.exchange import Exchange
from ifa_jax.workdir.run_folder import RunFolder

# As many regions as ViLBERT reads (arXiv:1908.02265, section 3.1); MEGA reads
# the first 10 of them.
NUM_OBJECTS = 36
_CONFIG = "config.json"
# Crops in a forward pass.
_BATCH_SIZE = 12
# An encoder of single pictures reads neither of these.
_CROP_TABLES = ("embed/grounded_position", "embed/detected_position")


class VisionEncoder:
  """The class token of a ViT or CLIP after its last layer.

  That is the residual stream before the final norm of ViT and CLIP:
  `hidden_states[-1][:, 0]` in transformers. IFAformer has no such norm, so none
  is converted.
  """

  num_objects = NUM_OBJECTS
  with_picture = False

  def __init__(self, folder: str | os.PathLike):
    """Loads the vision encoder onto the device; raises as `read`."""
    config, visual = read(folder)
    arrays = _used_by_encoder(visual)
    vision: Any = config.vision  # `read` refuses a model without.
    self.dim = vision.hidden_dim
    self._size, self._resize = vision.image_size, vision.resize
    self._description = {
      "kind": "encoder",
      "folder": os.fspath(folder),
      "state": "class token of the last layer, before the final norm",
      "dim": self.dim,
      "image_size": self._size,
      "num_params": sum(array.size for array in arrays.values()),
      "sha256": params_file.digest(arrays),
    }
    if self._resize != "fit":
      self._description["resize"] = self._resize
    self._params = jax.device_put({"visual": visual})
    self._step = _make_step(config)

  def encode(self, crops: Sequence[Image.Image]) -> np.ndarray:
    """Returns float32[n, dim] of n RGB pictures, their longer side cut."""
    encoded = [np.zeros((0, self.dim), np.float32)]
    for start in range(0, len(crops), _BATCH_SIZE):
      batch = crops[start : start + _BATCH_SIZE]
      # One shape is one compilation: a short batch is padded with black.
      squares = np.zeros((_BATCH_SIZE, self._size, self._size, 3), np.uint8)
      for i, crop in enumerate(batch):
        squares[i] = decode.fit(crop, self._size, self._resize)
      vectors = self._step(self._params, squares)
      encoded.append(np.asarray(vectors)[: len(batch)])
    return np.concatenate(encoded)

  def absent(self) -> None:
    """Absent regions have no features."""

  def describe(self) -> dict[str, Any]:
    """Returns `kind`, `dim`, and everything that identifies the encoder."""
    return dict(self._description)


def read(folder: str | os.PathLike) -> tuple[ModelConfig, dict[str, Any]]:
  """Returns a model's config and its visual stream's float32 parameters.

  Args:
    folder: of converted weights, or written by `copy`.

  Raises:
    ValueError: if the folder is neither, a file is damaged, or the visual
      stream is missing or randomly initialised.
  """
  weights = os.path.join(folder, params_file.FILE)
  if os.path.isfile(weights):
    config = _read_config(os.path.join(folder, _CONFIG))
    like = parameters.abstract_params(config)["visual"]
    return config, params_file.read(weights, like)
  config, params, provenance = store.load_converted(folder)
  config = _check_visual(config, os.fspath(folder))
  arrays = _used_by_encoder(params["visual"])
  fresh = {f"visual/{path}" for path in arrays} & {
    *provenance.get("initialised", ())
  }
  if fresh:
    raise ValueError(
      f"{folder}: expected a converted vision encoder, got {len(fresh)}"
      f" parameters with random initialisation ({min(fresh)} first)"
    )
  return config, params["visual"]


def copy(source: str, folder: str | os.PathLike) -> None:
  """Writes an encoder to a new folder, for `read`."""
  config, visual = read(source)
  os.mkdir(folder)
  RunFolder(folder).write_json(_CONFIG, registry.to_dict(config))
  params_file.write(os.path.join(folder, params_file.FILE), visual)


def _read_config(path: str) -> ModelConfig:
  try:
    config = registry.from_dict(json_file.load(path))
  except (OSError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(
      f"{path}: expected the settings of a model, got others ({error})"
    ) from None
  return _check_visual(config, path)


def _check_visual(config: Any, where: str) -> ModelConfig:
  if not isinstance(config, ModelConfig) or config.vision is None:
    raise ValueError(
      f"{where}: expected a model with a vision encoder, got one without"
      f" ({config.system})"
    )
  return config


class _Encoder(nn.Module):
  """The visual stream, under the names of stored weights."""

  config: VisionConfig

  def setup(self):
    # The whole picture with its class token, as ViT and CLIP read it.
    self.visual = VisualStream(self.config, Exchange(), jnp.float32)

  def __call__(self, batch: Any) -> jax.Array:
    """Returns the class tokens of a batch's pictures, float32[B, D]."""
    hidden = self.visual.embed(batch, use_image=True, use_objects=False).hidden
    for layer in self.visual.layer:
      query, own = layer.project(hidden)
      attended = layer.attend(query, own, None, None)
      hidden = layer.update(hidden, attended.values)
    return hidden[:, 0]


def _make_step(config: ModelConfig) -> Any:
  """Compiles (params, uint8[B, size, size, 3]) -> float32[B, D]."""
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


def _used_by_encoder(visual: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns path -> array of the parameters that the vectors depend on."""
  flat: dict[str, Any] = traverse_util.flatten_dict(visual, sep="/")
  return {path: flat[path] for path in sorted(flat) if path not in _CROP_TABLES}
