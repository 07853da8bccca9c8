"""Reads and writes `preprocessor_config.json`.

Scaling and normalisation of any processor become the mean and deviation of a
`VisionConfig`. Of resizing there are two forms, those of CLIP and ViT, see
`data.images.decode.fit`; a processor that resizes otherwise makes a note.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from ifa_jax.convert.huggingface import settings
from ifa_jax.convert.huggingface.processor_classes import CLASSES, KEYS
from ifa_jax.convert.huggingface.settings import Setting
from ifa_jax.convert.sources import Source
from ifa_jax.files.shown import shown
from ifa_jax.models.config import RESIZES, VisionConfig

FILE = "preprocessor_config.json"
# Names of a class in different versions of transformers.
_NAMES = re.compile(
  r"(ViT|CLIP|Bit)(ImageProcessor(Fast|Pil)?|FeatureExtractor)"
)

# Keys that a switch needs; otherwise null is the same as a missing key.
_NEEDED = {
  "do_resize": ("size", "resample"),
  "do_center_crop": ("crop_size",),
  "do_rescale": ("rescale_factor",),
  "do_normalize": ("image_mean", "image_std"),
}

# Encoders that resize their position table to the size of any picture.
_ANY_SIZE = ("Dinov2",)


def read(
  found: Source, architecture: str, config: VisionConfig
) -> tuple[VisionConfig, list[str]]:
  """Returns an encoder's config with its mean and deviation, and notes.

  There are notes on defaults and on steps that are different here. Encoders
  that read pictures of any size have the size of the processor's.

  Args:
    found: the encoder's folder.
    architecture: "CLIPVisionModel", "ViTModel" or "Dinov2Model".
    config: the encoder's, with any mean and deviation.

  Raises:
    ValueError: for an invalid value, naming file and key.
  """
  own = architecture.removesuffix("Model").removesuffix("Vision")
  name, given = _load(found)
  kind, notes = _kind(given, own)
  if name is None:
    # In place of the 224 pixels that the class assumes.
    given = {"size": config.image_size, "crop_size": config.image_size}
  label = name or own
  try:
    steps = read_steps(kind, given)
  except ValueError as error:
    raise ValueError(f"{found.folder}/{label}: {error}") from None
  config = dataclasses.replace(config, **statistics(steps))
  if own in _ANY_SIZE:
    config = dataclasses.replace(config, image_size=_side(steps, config))
  if name is None:
    notes.append(
      f"no {FILE}: took {label}'s usual mean {config.image_mean} and deviation"
      f" {config.image_std}"
    )
  ours, theirs = "", geometry(steps)
  # If none is the same, the last one is used.
  for resize in (*RESIZES, "fit"):
    config = dataclasses.replace(config, resize=resize)
    ours = geometry(read_steps("CLIP", write(config)))
    if ours == theirs:
      return config, notes
  return config, [*notes, f"pictures are {ours}; {label} has them {theirs}"]


def write(config: VisionConfig) -> dict[str, Any]:
  """Returns the file of a processor that treats pictures as this package."""
  kind = "ViT" if config.resize == "squash" else "CLIP"
  side = config.image_size
  square = {"height": side, "width": side}
  return CLASSES[kind] | {
    "image_processor_type": f"{kind}ImageProcessor",
    "size": square if kind == "ViT" else {"shortest_edge": side},
    "crop_size": square,
    "do_convert_rgb": True,
    "image_mean": [*config.image_mean],
    "image_std": [*config.image_std],
  }


def _load(found: Source) -> tuple[str | None, dict[str, Any]]:
  """Returns the name of a processor's file, or None, and its settings.

  As in transformers, the file of a multimodal model has precedence.
  """
  name = "processor_config.json"
  multimodal = found.read_json(name) or {}
  if "image_processor" not in multimodal:
    given = found.read_json(FILE)
    return (None, {}) if given is None else (FILE, given)
  given = multimodal["image_processor"]
  if not isinstance(given, dict):
    raise ValueError(
      f"{os.path.join(found.folder, name)}: image_processor: expected an"
      f" object, got {shown(given)}"
    )
  return name, given


def _kind(given: Mapping[str, Any], own: str) -> tuple[str, list[str]]:
  """Returns the class whose defaults apply, and a note on another class."""
  keys = ("image_processor_type", "feature_extractor_type")
  named = next((given[key] for key in keys if given.get(key)), None)
  if named is None:
    return own, []
  if found := _NAMES.fullmatch(str(named)):
    return found[1], []
  return own, [f"processor {shown(named)} is read as {own}ImageProcessor"]


def read_steps(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
  """Returns all settings of a file, with the defaults of a class.

  Raises:
    ValueError: for a value that is invalid, or null and needed, naming its key.
  """
  present = {
    key: value
    for key, value in given.items()
    if value is not None or KEYS.get(key) == Setting(settings.switch)
  }
  found = settings.read(KEYS, CLASSES[kind] | present)
  for switch, keys in _NEEDED.items():
    for key in keys:
      if found[switch] and given.get(key, found[key]) is None:
        raise ValueError(f"{key}: expected a value for {switch}, got None")
  return found


def statistics(steps: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
  """Returns mean and deviation of pixels in [0, 1], with the same effect."""
  mean, std = steps["image_mean"], steps["image_std"]
  if not steps["do_normalize"]:
    mean, std = (0.0,) * 3, (1.0,) * 3
  # 1 for processors that scale pixels to [0, 1].
  scale = 255 * (steps["rescale_factor"] if steps["do_rescale"] else 1)
  return {
    "image_mean": tuple(x / scale for x in mean),
    "image_std": tuple(x / scale for x in std),
  }


def geometry(steps: Mapping[str, Any]) -> str:
  """Describes the steps from a picture of any size to a square."""
  done = []
  if steps["do_resize"]:
    size = _sides(steps["size"], steps["default_to_square"])
    done.append(f"resized to {size} ({steps['resample']})")
  if steps["do_center_crop"]:
    done.append(f"cropped to the central {_sides(steps['crop_size'], True)}")
  if steps["do_pad"]:
    done.append("padded")
  return ", ".join(done) or "left as they are"


def _side(steps: Mapping[str, Any], config: VisionConfig) -> int:
  """Returns the side of a central square, or the encoder's if there is none."""
  crop = steps["crop_size"]
  sides = {crop} if isinstance(crop, int) else {*crop.values()}
  if not steps["do_center_crop"] or len(sides) > 1:
    return config.image_size
  return sides.pop()


def _sides(size: dict[str, int] | int, is_square: bool) -> str:
  """Describes a size; a number is the side of a square, or the shorter side."""
  if isinstance(size, int):
    names = ("height", "width") if is_square else ("shortest_edge",)
    size = dict.fromkeys(names, size)
  if size.keys() == {"height", "width"}:
    return f"{size['width']} x {size['height']}"
  return ", ".join(f"{name} {n}" for name, n in sorted(size.items()))
