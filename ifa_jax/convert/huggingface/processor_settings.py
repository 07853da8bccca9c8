"""Every key of a `preprocessor_config.json`: read, refused or unused."""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from ifa_jax.convert.huggingface import settings
from ifa_jax.convert.huggingface.settings import Only, Read, Unused
from ifa_jax.files import json_file
from ifa_jax.models.config import CLIP_MEAN, CLIP_STD


def _switch(value: Any) -> bool:
  # null is off, whatever the class has.
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
  """Returns the sides by name, or the number that is there in their place."""
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


# Every key that an image processor of transformers has.
KEYS: dict[str, settings.Setting] = {
  "do_resize": Read(_switch),
  "size": Read(_size),
  "default_to_square": Read(_switch),
  "resample": Read(_filter),
  "do_center_crop": Read(_switch),
  "crop_size": Read(_size),
  "do_pad": Read(_switch),
  "pad_size": Unused("do_pad makes a note"),
  # Of CLIPImageProcessor alone.
  "use_square_size": Only(False),
  "do_rescale": Read(_switch),
  "rescale_factor": Read(settings.positive),
  "do_normalize": Read(_switch),
  "image_mean": Read(_channels),
  "image_std": Read(_deviations),
  "do_convert_rgb": Unused("all pictures are read as RGB"),
  **dict.fromkeys(
    (
      "data_format",
      "input_data_format",
      "device",
      "return_tensors",
      "disable_grouping",
      "image_seq_length",
    ),
    Unused("form of input and output"),
  ),
}

# Keys that each switch needs; null elsewhere is as good as a missing key.
_NEEDED = {
  "do_resize": ("size", "resample"),
  "do_center_crop": ("crop_size",),
  "do_rescale": ("rescale_factor",),
  "do_normalize": ("image_mean", "image_std"),
}

# Of a key that is missing, as in the class of transformers.
_SHARED = {
  "do_resize": True,
  "do_center_crop": False,
  "do_pad": False,
  "do_rescale": True,
  "rescale_factor": 1 / 255,
  "do_normalize": True,
}
CLASSES: dict[str, dict[str, Any]] = {
  "CLIP": _SHARED
  | {
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "resample": "bicubic",
    "do_center_crop": True,
    "crop_size": 224,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
  },
  "ViT": _SHARED
  | {
    "size": 224,
    "default_to_square": True,
    "resample": "bilinear",
    "crop_size": 224,
    "image_mean": (0.5, 0.5, 0.5),
    "image_std": (0.5, 0.5, 0.5),
  },
}


def read(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
  """Returns all settings of a processor.

  Args:
    kind: whose class has the missing ones, "CLIP" or "ViT".
    given: the file.

  Raises:
    ValueError: for a value that has no meaning or is needed and null, naming
      its key.
  """
  present = {
    key: value
    for key, value in given.items()
    if value is not None or KEYS.get(key) == Read(_switch)
  }
  found = CLASSES[kind] | settings.read(KEYS, present)
  for switch, keys in _NEEDED.items():
    for key in keys:
      if found[switch] and given.get(key, found[key]) is None:
        raise ValueError(f"{key}: expected a value for {switch}, got None")
  return found
