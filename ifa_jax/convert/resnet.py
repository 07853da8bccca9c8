"""ResNets of torchvision, timm and transformers, BatchNorm folded.

A convolution without bias and the BatchNorm after it become one convolution:
w' = w g / sqrt(v + eps), b' = beta - m g / sqrt(v + eps), by the running mean m
and variance v. torchvision and timm share their names.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.models.encoders.resnet import ResNetConfig

_EPSILON = 1e-5
# Name of a convolution, and of its norm: torchvision and timm, transformers.
_STEM = (
  ("conv1", "bn1"),
  ("embedder.embedder.convolution", "embedder.embedder.normalization"),
)
_PARTS = ("reduce", "spatial", "expand")


def convert(
  arrays: Mapping[str, np.ndarray], where: str
) -> tuple[ResNetConfig, dict[str, Any]]:
  """Returns the sizes and the parameters of `models.encoders.resnet`.

  Args:
    arrays: name -> array. A classifier and counts of batches are left out.
    where: the checkpoint's name, for errors.

  Raises:
    ValueError: if names or shapes are not those of a ResNet of bottleneck
      blocks, listing the first that is missing or unknown.
  """
  arrays = {
    name.removeprefix("resnet."): array
    for name, array in arrays.items()
    if not re.match(r"(fc|classifier)\.", name)
    and not name.endswith("num_batches_tracked")
  }
  depths, named = _depths(arrays, where), {}
  hub = "embedder.embedder.convolution.weight" in arrays
  named["stem"] = _STEM[hub]
  for stage, depth in enumerate(depths):
    for block in range(depth):
      path = f"stage_{stage}_block_{block}"
      named |= _block_names(arrays, stage, block, path, hub)
  params = {
    f"{path}/conv/{kind}": array
    for path, names in named.items()
    for kind, array in _fold(arrays, names, where).items()
  }
  _check_all_used(arrays, named, where)
  widths = [
    len(params[f"stage_{stage}_block_0/expand/conv/bias"])
    for stage in range(len(depths))
  ]
  stem = len(params["stem/conv/bias"])
  config = ResNetConfig(tuple(depths), stem, tuple(widths))
  return config, traverse_util.unflatten_dict(params, sep="/")


def _depths(arrays: Mapping[str, np.ndarray], where: str) -> list[int]:
  """Counts the blocks of each stage."""
  pattern = re.compile(
    r"layer(\d)\.(\d+)\.conv3\.weight"
    r"|encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.2\.convolution\.weight"
  )
  counts: dict[int, int] = {}
  for name in arrays:
    if found := pattern.fullmatch(name):
      stage = int(found[1]) - 1 if found[1] else int(found[3])
      counts[stage] = counts.get(stage, 0) + 1
  if not counts or [*counts] != [*range(len(counts))]:
    raise ValueError(
      f"{where}: expected a ResNet of bottleneck blocks (layer1.0.conv3.weight"
      f" or encoder.stages.0.layers.0.layer.2.convolution.weight), got names"
      f" such as {next(iter(arrays), None)!r}"
    )
  return [*counts.values()]


def _block_names(
  arrays: Mapping[str, np.ndarray], stage: int, block: int, path: str, hub: bool
) -> dict[str, tuple[str, str]]:
  """Returns path -> names of convolution and norm, for one block."""
  if hub:
    prefix = f"encoder.stages.{stage}.layers.{block}"
    layer = lambda i: f"{prefix}.layer.{i}"  # noqa: E731
    names = {
      part: (f"{layer(i)}.convolution", f"{layer(i)}.normalization")
      for i, part in enumerate(_PARTS)
    }
    shortcut = f"{prefix}.shortcut"
    names["shortcut"] = (f"{shortcut}.convolution", f"{shortcut}.normalization")
  else:
    prefix = f"layer{stage + 1}.{block}"
    names = {
      part: (f"{prefix}.conv{i}", f"{prefix}.bn{i}")
      for i, part in enumerate(_PARTS, start=1)
    }
    names["shortcut"] = (f"{prefix}.downsample.0", f"{prefix}.downsample.1")
  return {
    f"{path}/{part}": found
    for part, found in names.items()
    if part != "shortcut" or f"{found[0]}.weight" in arrays
  }


def _fold(
  arrays: Mapping[str, np.ndarray], named: tuple[str, str], where: str
) -> dict[str, np.ndarray]:
  """Returns the kernel [y, x, in, out] and the bias of one convolution."""
  conv, norm = named
  names = [f"{conv}.weight"]
  names += [
    f"{norm}.{part}"
    for part in ("weight", "bias", "running_mean", "running_var")
  ]
  if missing := [name for name in names if name not in arrays]:
    raise ValueError(f"{where}: expected {missing[0]}, got no such array")
  kernel, *of_norm = (np.asarray(arrays[name], np.float64) for name in names)
  if kernel.ndim != 4 or any(x.shape != kernel.shape[:1] for x in of_norm):
    raise ValueError(
      f"{where}: {names[0]}: expected a kernel [out, in, y, x] and a norm of"
      f" its channels, got shapes {kernel.shape} and {of_norm[0].shape}"
    )
  gain, offset, mean, variance = of_norm
  scale = gain / np.sqrt(variance + _EPSILON)
  return {
    "kernel": (kernel.transpose(2, 3, 1, 0) * scale).astype(np.float32),
    "bias": (offset - mean * scale).astype(np.float32),
  }


def _check_all_used(
  arrays: Mapping[str, np.ndarray],
  named: Mapping[str, tuple[str, str]],
  where: str,
) -> None:
  used = {part for names in named.values() for part in names}
  unknown = [name for name in arrays if name.rpartition(".")[0] not in used]
  if unknown:
    raise ValueError(
      f"{where}: expected the arrays of a ResNet, got {unknown[0]} as well"
      f" ({len(unknown)} unknown names)"
    )
