"""Rules that move weights between another program's names and this model's.

In a name of either side, `{n}` stands for the number of a layer. In a `Drop`,
`{any}` stands for anything.

    Rule("encoder.layer.{n}.output.dense.bias", "text/layer_{n}/mlp_out/bias")
    encoder.layer.7.output.dense.bias  <->  text/layer_7/mlp_out/bias
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Move(NamedTuple):
  """What becomes of an array on its way in, and on its way back out."""

  into: Callable[[np.ndarray], np.ndarray]
  out: Callable[[np.ndarray], np.ndarray]


def _into_patches(array: np.ndarray) -> np.ndarray:
  return array.transpose(2, 3, 1, 0).reshape(-1, len(array))


def _out_of_patches(kernel: np.ndarray) -> np.ndarray:
  patch = math.isqrt(len(kernel) // 3)
  return kernel.reshape(patch, patch, 3, -1).transpose(3, 2, 0, 1)


SAME = Move(lambda array: array, lambda array: array)
# PyTorch's linear weight [out, in], a kernel [in, out].
TRANSPOSE = Move(np.transpose, np.transpose)
# A convolution [D, 3, patch, patch], a kernel [3 patch^2, D]: within a patch
# the model reads row, column, channel.
PATCHES = Move(_into_patches, _out_of_patches)
# Leading axes of length 1, for a batch, that the parameter does not have.
BATCH = Move(lambda array: array.squeeze(0), lambda array: array[None])
BATCH_OF_ROWS = Move(
  lambda array: array.squeeze((0, 1)), lambda array: array[None, None]
)


class Rule(NamedTuple):
  """Moves a weight: its name, the parameter's path, what happens to it."""

  name: str
  path: str
  move: Move = SAME


class Drop(NamedTuple):
  """Leaves a weight behind, for a reason."""

  name: str
  reason: str


def linear(name: str, path: str) -> list[Rule]:
  """Returns the rules of a linear layer."""
  return [
    Rule(f"{name}.weight", f"{path}/kernel", TRANSPOSE),
    Rule(f"{name}.bias", f"{path}/bias"),
  ]


def norm(name: str, path: str) -> list[Rule]:
  """Returns the rules of a LayerNorm."""
  return [
    Rule(f"{name}.weight", f"{path}/scale"),
    Rule(f"{name}.bias", f"{path}/bias"),
  ]


@functools.cache
def _regex(pattern: str) -> re.Pattern[str]:
  escaped = re.escape(pattern)
  escaped = escaped.replace(re.escape("{n}"), r"(?P<n>\d+)")
  return re.compile(escaped.replace(re.escape("{any}"), ".*"))


def match(pattern: str, name: str) -> re.Match[str] | Any:
  """Returns the match of a whole name or path, or None."""
  return _regex(pattern).fullmatch(name)


def layer_number(found: re.Match[str]) -> int | None:
  """Returns the number that `{n}` stands for, or None without one."""
  return int(found["n"]) if "n" in found.groupdict() else None


def fill(pattern: str, found: re.Match[str]) -> str:
  """Returns the name that a pattern gives for a match of the other side's."""
  return pattern.replace("{n}", found.groupdict().get("n", ""))
