"""Failures of devices, in the words of a user's settings."""

import sys

# Begins XLA's error if an allocation fails.
_FULL = "RESOURCE_EXHAUSTED"
_SETTINGS = ("jax_platforms", "jax_platform_name")


def failure(error: BaseException) -> str | None:
  """Returns the failure of a device in one line: its memory, or its start.

  None for any other error.
  """
  reason = str(error).partition("\n")[0]
  if _FULL in reason:
    return (
      f"device memory: expected room for the batch, got {reason}; set a smaller"
      " batch size, or see train.num_slices and train.remat"
    )
  return _unavailable()


def _unavailable() -> str | None:
  """Returns why JAX cannot start the platform of a setting.

  None if it can, if no setting names a platform, or if JAX is not loaded.
  """
  jax = sys.modules.get("jax")
  named = {name: jax.config.values[name] for name in _SETTINGS} if jax else {}
  given = [f"{name.upper()}={value}" for name, value in named.items() if value]
  if jax is None or not given:
    return None
  try:
    jax.devices()
  # An AssertionError of JAX has no message.
  except (RuntimeError, AssertionError) as error:
    reason = str(error).partition("\n")[0] or "this machine has none"
    return (
      f"{', '.join(given)}: expected a platform that JAX can start here, got"
      f" none ({reason}); JAX_PLATFORMS=cpu runs on the CPU"
    )
  return None
