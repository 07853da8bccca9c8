"""Settings of the optimizer from plain values."""

from ifa_jax.files import dataclass_dict
from ifa_jax.training.config.run_config import OptimConfig


def read(section):
  """Returns the settings of a config's `optim` section."""
  return dataclass_dict.from_dict(OptimConfig, section, "optim")
