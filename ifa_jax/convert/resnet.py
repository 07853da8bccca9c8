"""ResNets of torchvision, timm and transformers, BatchNorm folded.

A convolution without bias and the BatchNorm after it become one convolution:
w' = w g / sqrt(v + eps), b' = beta - m g / sqrt(v + eps), by the running mean m
and variance v. torchvision and timm share their names.
"""

import collections
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine
from ifa_jax.models.encoders.resnet import ResNet, ResNetConfig

_EPSILON = 1e-5
_PARTS = ("reduce", "spatial", "expand")
# Names of transformers: a stem, or a block's part or shortcut.
_STEM = re.compile(r"embedder\.embedder\.(convolution|normalization)\.(.+)")
_BLOCK = re.compile(
  r"encoder\.stages\.(\d)\.layers\.(\d+)\.(?:layer\.(\d)|shortcut)"
  r"\.(convolution|normalization)\.(.+)"
)


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
    _name(name.removeprefix("resnet.")): array
    for name, array in arrays.items()
    if not re.match(r"(fc|classifier)\.", name)
    and not name.endswith("num_batches_tracked")
  }
  depths = _depths(arrays, where)
  # Path -> names of a convolution and its norm.
  named = {"stem": ("conv1", "bn1")}
  for stage, depth in enumerate(depths):
    for block in range(depth):
      path, name = f"stage_{stage}_block_{block}", f"layer{stage + 1}.{block}"
      for i, part in enumerate(_PARTS, start=1):
        named[f"{path}/{part}"] = f"{name}.conv{i}", f"{name}.bn{i}"
      shortcut = f"{name}.downsample"
      if f"{shortcut}.0.weight" in arrays:
        named[f"{path}/shortcut"] = f"{shortcut}.0", f"{shortcut}.1"
  params = {
    f"{path}/conv/{kind}": array
    for path, names in named.items()
    for kind, array in _fold(arrays, names, where).items()
  }
  used = {part for names in named.values() for part in names}
  unknown = [name for name in arrays if name.rpartition(".")[0] not in used]
  if unknown:
    raise ValueError(
      f"{where}: expected the arrays of a ResNet, got {unknown[0]} as well"
      f" ({len(unknown)} unknown names)"
    )
  widths = [
    len(params[f"stage_{stage}_block_0/expand/conv/bias"])
    for stage in range(len(depths))
  ]
  stem = len(params["stem/conv/bias"])
  config = ResNetConfig(tuple(depths), stem, tuple(widths))
  _check_shapes(params, config, where)
  return config, traverse_util.unflatten_dict(params, sep="/")


def _check_shapes(
  params: Mapping[str, np.ndarray], config: ResNetConfig, where: str
) -> None:
  # Wide and grouped ResNets have the same names.
  pixels = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
  init = ResNet(config).init
  like: Any = jax.eval_shape(init, jax.random.key(0), pixels)["params"]
  leaves: dict[str, Any] = traverse_util.flatten_dict(like, sep="/")
  wanted = {path: leaf.shape for path, leaf in leaves.items()}
  found = {path: array.shape for path, array in params.items()}
  engine.raise_all(
    f"{where}: expected a ResNet of bottleneck blocks",
    [
      f"{path}: expected shape {wanted.get(path)}, got {found.get(path)}"
      for path in sorted(wanted.keys() | found)
      if found.get(path) != wanted.get(path)
    ],
  )


def _name(name: str) -> str:
  """Returns torchvision's name of an array of either program."""
  if found := _STEM.fullmatch(name):
    return f"{'conv1' if found[1] == 'convolution' else 'bn1'}.{found[2]}"
  if found := _BLOCK.fullmatch(name):
    stage, block, part, kind, field = found.groups()
    is_norm = kind == "normalization"
    module = f"downsample.{int(is_norm)}"
    if part is not None:
      module = f"{'bn' if is_norm else 'conv'}{int(part) + 1}"
    return f"layer{int(stage) + 1}.{block}.{module}.{field}"
  return name


def _depths(arrays: Mapping[str, np.ndarray], where: str) -> list[int]:
  """Counts the blocks of each stage."""
  last = re.compile(r"layer(\d)\.\d+\.conv3\.weight")
  counts = collections.Counter(
    int(found[1]) for name in arrays if (found := last.fullmatch(name))
  )
  if not counts or [*counts] != [*range(1, 1 + len(counts))]:
    raise ValueError(
      f"{where}: expected a ResNet of bottleneck blocks (layer1.0.conv3.weight"
      f" or encoder.stages.0.layers.0.layer.2.convolution.weight), got names"
      f" such as {next(iter(arrays), None)!r}"
    )
  return [*counts.values()]


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
    raise ValueError(
      f"{where}: expected {missing[0]} (torchvision's name), got no such array"
    )
  for name in names:
    if problem := engine.problem_with(arrays[name]):
      raise ValueError(f"{where}: {name}: {problem}")
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
