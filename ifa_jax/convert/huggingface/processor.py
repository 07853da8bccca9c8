"""Reads and writes `preprocessor_config.json`, the treatment of pictures.

Scaling and normalisation of any processor become the mean and deviation of a
`VisionConfig`. Resizing is the same for all encoders, see `data.images.decode`;
a processor that resizes otherwise makes a note.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from PIL import Image

from ifa_jax.convert.huggingface import processor_settings
from ifa_jax.convert.sources import Source
from ifa_jax.files.shown import shown
from ifa_jax.models.config import VisionConfig

FILE = "preprocessor_config.json"
_SUFFIXES = (
  "ImageProcessor",
  "ImageProcessorFast",
  "ImageProcessorPil",
  "FeatureExtractor",
)


def read(
  found: Source, architecture: str, config: VisionConfig
) -> tuple[VisionConfig, list[str]]:
  """Returns a config with the mean and deviation of a folder's pictures.

  Args:
    found: the folder.
    architecture: of its encoder, "CLIPVisionModel" or "ViTModel".
    config: of the encoder, without them.

  Returns:
    The config, and notes: defaults that were taken, and steps of the processor
    that are done otherwise here.

  Raises:
    ValueError: for a value that has no meaning, naming file and key.
  """
  own = "CLIP" if architecture.startswith("CLIP") else "ViT"
  name, given = _load(found)
  kind, notes = _kind(given, own)
  if name is None:
    name = f"{own}ImageProcessor"
    # In place of the 224 pixels that the class assumes.
    given = {"size": config.image_size, "crop_size": config.image_size}
  try:
    steps = processor_settings.read(kind, given)
  except ValueError as error:
    raise ValueError(f"{found.folder}/{name}: {error}") from None
  config = dataclasses.replace(config, **_statistics(steps))
  if not os.path.exists(os.path.join(found.folder, name)):
    notes.append(
      f"no {FILE}: took the usual {config.image_mean} and {config.image_std} of"
      f" {name}"
    )
  ours = _geometry(processor_settings.read("CLIP", write(config)))
  if (theirs := _geometry(steps)) != ours:
    notes.append(f"pictures are {ours}; {name} has them {theirs}")
  return config, notes


def write(config: VisionConfig) -> dict[str, Any]:
  """Returns the file of a processor that treats pictures as this package."""
  side = config.image_size
  return {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": side},
    "resample": Image.Resampling.BICUBIC.value,
    "do_center_crop": True,
    "crop_size": {"height": side, "width": side},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [*config.image_mean],
    "image_std": [*config.image_std],
  }


def _load(found: Source) -> tuple[str | None, dict[str, Any]]:
  """Returns the file of a processor, or None, and its settings.

  As in transformers, the file of a model that reads pictures and text comes
  first.
  """
  name, given = "processor_config.json", None
  whole = found.read_json(name) or {}
  if "image_processor" in whole:
    given = whole["image_processor"]
    if not isinstance(given, dict):
      raise ValueError(
        f"{found.folder}/{name}: image_processor: expected an object, got"
        f" {shown(given)}"
      )
  else:
    name, given = FILE, found.read_json(FILE)
  return (None, {}) if given is None else (name, given)


def _kind(given: Mapping[str, Any], own: str) -> tuple[str, list[str]]:
  """Returns the class that a processor's missing keys are from, and a note."""
  keys = ("image_processor_type", "feature_extractor_type")
  named = next((given[key] for key in keys if given.get(key)), None)
  if named is None:
    return own, []
  for kind in processor_settings.CLASSES:
    if named in [f"{kind}{suffix}" for suffix in _SUFFIXES]:
      return kind, []
  return own, [f"processor {shown(named)} is read as {own}ImageProcessor"]


def _statistics(steps: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
  """Returns mean and deviation for pixels of [0, 1], of the same effect."""
  mean, std = steps["image_mean"], steps["image_std"]
  if not steps["do_normalize"]:
    mean, std = (0.0,) * 3, (1.0,) * 3
  # 1, but for a processor that leaves pixels as they are or scales otherwise.
  scale = 255 * (steps["rescale_factor"] if steps["do_rescale"] else 1)
  return {
    "image_mean": tuple(x / scale for x in mean),
    "image_std": tuple(x / scale for x in std),
  }


def _geometry(steps: Mapping[str, Any]) -> str:
  """Returns the steps from a picture of any size to a square, in words."""
  done = []
  if steps["do_resize"]:
    size = _sides(steps["size"], steps["default_to_square"])
    done.append(f"resized to {size} ({steps['resample']})")
  if steps["do_center_crop"]:
    done.append(f"cut to a centre of {_sides(steps['crop_size'], True)}")
  if steps["do_pad"]:
    done.append("padded")
  return ", ".join(done) or "left as they are"


def _sides(size: dict[str, int] | int, is_square: bool) -> str:
  """Returns a size in words; a number is a square's or a shorter side's."""
  if isinstance(size, int):
    names = ("height", "width") if is_square else ("shortest_edge",)
    size = dict.fromkeys(names, size)
  if size.keys() == {"height", "width"}:
    return f"{size['width']} x {size['height']}"
  return ", ".join(f"{name} {n}" for name, n in sorted(size.items()))
