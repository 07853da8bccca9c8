"""Flags that choose the relations of posts with entities."""

from typing import Any

from absl import flags

from ifa_jax.files import json_file
from ifa_jax.inference.choose import Choice

# --help lists these as flags of the module that runs.
flags.disclaim_key_flags()


def define_flags() -> None:
  """Defines the settings of a `Choice`."""
  flags.DEFINE_string(
    "threshold",
    "0",
    "Posts with entities: least probability (0 to 1) of a listed relation, or"
    " a JSON file {relation: probability}.",
  )
  flags.DEFINE_integer(
    "top_k", None, "Entities: relations a post at most.", lower_bound=1
  )
  flags.DEFINE_string(
    "allowed",
    None,
    "Entities: JSON relation -> [[head types], [tail types]]; names: types in"
    " names such as /per/org/member_of.",
  )
  flags.DEFINE_list(
    "symmetric", [], "Entities: relations of which one direction is listed."
  )
  flags.DEFINE_bool(
    "probabilities", False, "Entities: all probabilities of each pair listed."
  )


def read(values: Any) -> Choice:
  """Returns the choice of the flags.

  Raises:
    ValueError: for a malformed file.
    OSError: if a file cannot be read.
  """
  allowed = values.allowed
  if allowed not in (None, "names"):
    allowed = _object("allowed", allowed)
  return Choice(
    _threshold(values.threshold),
    values.top_k,
    allowed,
    values.symmetric,
    values.probabilities,
  )


def files(values: Any) -> list[str]:
  """Returns the paths among the flags."""
  named = [] if values.allowed in (None, "names") else [values.allowed]
  is_path = isinstance(_number(values.threshold), str)
  return [*named, values.threshold] if is_path else named


def _number(text: str) -> float | str:
  """Returns a number if the text is one, else the text."""
  try:
    return float(text)
  except ValueError:
    return text


def _threshold(text: str) -> Any:
  number = _number(text)
  return _object("threshold", number) if isinstance(number, str) else number


def _object(flag: str, path: str) -> dict[str, Any]:
  value = json_file.load(path)
  if not isinstance(value, dict):
    raise ValueError(
      f"--{flag}: expected an object of relations in {path}, got a"
      f" {type(value).__name__}"
    )
  return value
