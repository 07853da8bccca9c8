"""A warning that the project's own code gives rise to fails the suite."""

import warnings

import pytest


def warn_from(module):
  """Warns as a library does of a call in a module."""
  code = "warnings.warn('old', DeprecationWarning, stacklevel=1)"
  exec(code, {"__name__": module, "warnings": warnings})


@pytest.mark.parametrize(
  "module",
  [
    "ifa_jax",
    "ifa_jax.models.layers.transformer",
    "ifa_jax.preparation.mnre.command",
    "ifa_jax.training.config.defaults",
    "benchmarks.epochs",
    "launch",
  ],
)
def test_of_the_projects_modules_it_is_an_error(module):
  with pytest.raises(DeprecationWarning, match="old"):
    warn_from(module)


@pytest.mark.parametrize("module", ["flax.linen", "ifa_jaxes", "launcher"])
def test_of_others_it_is_none(module):
  # Unlike pytest.warns, this keeps the filters as they are.
  with warnings.catch_warnings(record=True) as told:
    warn_from(module)
  assert len(told) <= 1
