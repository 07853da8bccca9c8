"""Whether JAX can start the devices that the environment names."""

import sys

_SETTINGS = ("jax_platforms", "jax_platform_name")


def failure() -> str | None:
  """Returns why JAX cannot start the platform that a setting names, in a line.

  None if it can, if no setting names one, or if JAX was not loaded. JAX's own
  errors are a RuntimeError, or an AssertionError without a word.
  """
  jax = sys.modules.get("jax")
  named = {name: jax.config.values[name] for name in _SETTINGS} if jax else {}
  given = [f"{name.upper()}={value}" for name, value in named.items() if value]
  if jax is None or not given:
    return None
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:
    reason = str(error).partition("\n")[0] or "this machine has none"
    return (
      f"{', '.join(given)}: expected a platform that JAX can start here, got"
      f" none ({reason}); JAX_PLATFORMS=cpu runs on the CPU"
    )
  return None
