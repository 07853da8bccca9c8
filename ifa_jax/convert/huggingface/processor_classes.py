"""The image processors of transformers as tables."""

from typing import Any

from PIL import Image

from ifa_jax.convert.huggingface import settings
from ifa_jax.convert.huggingface.settings import Setting, only
from ifa_jax.files import json_file
from ifa_jax.models.config import CLIP_MEAN, CLIP_STD


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


_SWITCHES = (
  *("do_resize", "do_center_crop", "do_pad"),
  *("do_rescale", "do_normalize"),
)
# The keys of image processors that bear on pixels.
KEYS: dict[str, Setting] = {
  **dict.fromkeys(_SWITCHES, Setting(settings.switch)),
  "size": Setting(_size),
  "default_to_square": Setting(settings.switch),
  "resample": Setting(_filter),
  "crop_size": Setting(_size),
  # Only of CLIPImageProcessor.
  "use_square_size": only(False),
  "rescale_factor": Setting(settings.positive),
  "image_mean": Setting(_channels),
  "image_std": Setting(_deviations),
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
_CLIP = _VIT | {
  "size": {"shortest_edge": 224},
  "default_to_square": False,
  "resample": Image.Resampling.BICUBIC.value,
  "do_center_crop": True,
  "image_mean": [*CLIP_MEAN],
  "image_std": [*CLIP_STD],
}
CLASSES: dict[str, dict[str, Any]] = {
  "ViT": _VIT,
  "CLIP": _CLIP,
  "Bit": _CLIP,
  # No class, but the usual Bit of this encoder, with the mean of ImageNet.
  "Dinov2": _CLIP
  | {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
}
