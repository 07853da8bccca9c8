"""Devices that the environment names and JAX cannot start."""

import sys

_SETTINGS = ("jax_platforms", "jax_platform_name")


def failure() -> str | None:
  """Returns in one line why JAX cannot start the platform of a setting.

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
