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

from PIL import Image

from ifa_jax.convert.huggingface import settings
from ifa_jax.convert.huggingface.settings import Setting, only
from ifa_jax.convert.sources import Source
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.models.config import CLIP_MEAN, CLIP_STD, RESIZES, VisionConfig

FILE = "preprocessor_config.json"
# Names of a class in different versions of transformers.
_NAMES = re.compile(r"(ViT|CLIP)(ImageProcessor(Fast|Pil)?|FeatureExtractor)")


def _switch(value: Any) -> bool:
  # null is off, whatever the default.
  if not isinstance(value, bool | None):
    raise ValueError("true or false")
  return bool(value)


def _channels(value: Any) -> tuple[float, ...]:
  found = value if isinstance(value, list) else [value] * 3
  if len(found) != 3 or not all(map(json_file.is_finite, found)):
    raise ValueError("a number, or one for each of 3 channels")
  return tuple(map(float, found))


def _deviations(value: Any) -> tuple[float, ...]:
  found = _channels(value)
  if min(found) <= 0:
    raise ValueError("numbers above 0")
  return found


def _size(value: Any) -> dict[str, int] | int:
  """Returns the sides by name, or a single number."""
  if isinstance(value, list) and len(value) == 2:
    value = dict(zip(("height", "width"), value, strict=True))
  if not isinstance(value, dict):
    return settings.count(value)
  return {name: settings.count(x) for name, x in value.items() if x is not None}


def _filter(value: Any) -> str:
  known = {x.value: x.name.lower() for x in Image.Resampling}
  if type(value) is not int or value not in known:
    raise ValueError(f"a filter of PIL, 0 to {max(known)}")
  return known[value]


# The keys of image processors that bear on pixels.
KEYS: dict[str, Setting] = {
  **dict.fromkeys(("do_resize", "do_center_crop", "do_pad"), Setting(_switch)),
  **dict.fromkeys(("do_rescale", "do_normalize"), Setting(_switch)),
  "size": Setting(_size),
  "default_to_square": Setting(_switch),
  "resample": Setting(_filter),
  "crop_size": Setting(_size),
  # Only of CLIPImageProcessor.
  "use_square_size": only(False),
  "rescale_factor": Setting(settings.positive),
  "image_mean": Setting(_channels),
  "image_std": Setting(_deviations),
}

# Keys that a switch needs; otherwise null is the same as a missing key.
_NEEDED = {
  "do_resize": ("size", "resample"),
  "do_center_crop": ("crop_size",),
  "do_rescale": ("rescale_factor",),
  "do_normalize": ("image_mean", "image_std"),
}

# The files of the classes of transformers that write every key.
_VIT = {
  "do_resize": True,
  "size": 224,
  "default_to_square": True,
  "resample": Image.Resampling.BILINEAR.value,
  "do_center_crop": False,
  "crop_size": 224,
  "do_pad": False,
  "do_rescale": True,
  "rescale_factor": 1 / 255,
  "do_normalize": True,
  "image_mean": [0.5, 0.5, 0.5],
  "image_std": [0.5, 0.5, 0.5],
}
CLASSES: dict[str, dict[str, Any]] = {
  "ViT": _VIT,
  "CLIP": _VIT
  | {
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "resample": Image.Resampling.BICUBIC.value,
    "do_center_crop": True,
    "image_mean": [*CLIP_MEAN],
    "image_std": [*CLIP_STD],
  },
}


def read(
  found: Source, architecture: str, config: VisionConfig
) -> tuple[VisionConfig, list[str]]:
  """Returns an encoder's config with its mean and deviation, and notes.

  There are notes on defaults and on steps that are different here.

  Args:
    found: the encoder's folder.
    architecture: "CLIPVisionModel" or "ViTModel".
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
  label = name or f"{own}ImageProcessor"
  try:
    steps = read_steps(kind, given)
  except ValueError as error:
    raise ValueError(f"{found.folder}/{label}: {error}") from None
  config = dataclasses.replace(config, **statistics(steps))
  if name is None:
    notes.append(
      f"no {FILE}: took the usual {config.image_mean} and {config.image_std} of"
      f" {label}"
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
    if value is not None or KEYS.get(key) == Setting(_switch)
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


def _sides(size: dict[str, int] | int, is_square: bool) -> str:
  """Describes a size; a number is the side of a square, or the shorter side."""
  if isinstance(size, int):
    names = ("height", "width") if is_square else ("shortest_edge",)
    size = dict.fromkeys(names, size)
  if size.keys() == {"height", "width"}:
    return f"{size['width']} x {size['height']}"
  return ", ".join(f"{name} {n}" for name, n in sorted(size.items()))
