"""What a run computes in: the setting `model.dtype`.

"auto" is bfloat16 on accelerators, whose matrix units are made for it, and
float32 on a CPU. A run keeps what it began with, wherever it goes on. Models
themselves look at no device.
"""

from collections.abc import Mapping
from typing import Any

import jax

from ifa_jax.workdir.run_folder import RunFolder

AUTO = "auto"


def resolve(
  config: Mapping[str, Any], folder: RunFolder | None = None
) -> Mapping[str, Any]:
  """Returns the config with a dtype in the place of "auto".

  Args:
    config: nested plain values.
    folder: of a run that may have begun; its own dtype wins over the device's.
  """
  model = config["model"]
  if model.get("dtype") != AUTO:
    return config
  begun = folder.read_json("config.json") if folder is not None else None
  begun = begun if isinstance(begun, dict) else {}
  found = begun.get("config", {}).get("model", {}).get("dtype")
  return {**config, "model": {**model, "dtype": found or default_dtype()}}


def default_dtype() -> str:
  """Returns what this process's devices compute fastest in."""
  on_cpu = jax.default_backend() == "cpu"
  return "float32" if on_cpu else "bfloat16"
