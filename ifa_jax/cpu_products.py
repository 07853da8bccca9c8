"""Compiled functions whose matrix products are Eigen's, on a CPU.

XLA gives large float32 products to YNNPACK, which two threads share badly:
Eigen's take a fifth less time at the sizes of a training batch, and are
compiled and loaded sooner. Sums stay YNNPACK's. Elsewhere nothing is changed.
"""

from collections.abc import Callable
from typing import Any

import jax

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_SUMS_ONLY = {_OPTION: "LIBRARY_FUSION_TYPE_REDUCE"}


def with_eigen(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a jitted or pmapped function, compiled so where it runs on a CPU.

  The result can be called, and has `lower`, as the function.
  """
  return _OnCPU(function) if jax.default_backend() == "cpu" else function


class _OnCPU:
  """Compiles for the arguments that it meets; `jax.pmap` takes no options."""

  def __init__(self, function: Callable[..., Any]):
    self._function = function
    self._compiled: dict[Any, Callable[..., Any]] = {}

  def __call__(self, *args: Any) -> Any:
    leaves, structure = jax.tree.flatten(args)
    # Tracers have no sharding, and the function is then part of another.
    if any(isinstance(x, jax.core.Tracer) for x in leaves):
      return self._function(*args)
    key = structure, tuple((x.shape, x.dtype) for x in leaves)
    if key not in self._compiled:
      self._compiled[key] = self.lower(*args).compile()
    return self._compiled[key](*args)

  def lower(self, *args: Any) -> "_Lowered":
    return _Lowered(self._function.lower(*args))


class _Lowered:
  """A lowered function that compiles with the option, where there is one."""

  def __init__(self, lowered: jax.stages.Lowered):
    self._lowered = lowered

  def compile(self) -> jax.stages.Compiled:
    try:
      return self._lowered.compile(compiler_options=_SUMS_ONLY)
    except jax.errors.JaxRuntimeError as error:
      # The option is experimental: some day there will be none.
      if _OPTION not in str(error):
        raise
      return self._lowered.compile()

  def cost_analysis(self) -> Any:
    return self._lowered.cost_analysis()
