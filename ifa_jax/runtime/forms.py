"""The forms of data parallelism that `train.parallel` names."""

# JAX declares no types of compiled functions.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ifa_jax.runtime.data_parallel import Parallel, Pmap, Step


class Fsdp(Parallel):
  """`Parallel` with parameters and moments split as in `split_state`."""

  def compile_train(self, step: Step) -> Step:
    """See `Parallel`."""
    traced = self._in_mesh(step)

    def update(state: Any, batch: Any) -> tuple[Any, Any]:
      state, sums = traced(state, batch)
      return self._pin(state), sums

    # States come in their layout, which a prefix cannot describe.
    shardings = (None, self._split)
    return jax.jit(update, donate_argnums=0, in_shardings=shardings)

  def compile_rows(self, function: Step) -> Step:
    """See `Parallel`."""
    return jax.jit(
      self._in_mesh(function),
      in_shardings=(None, self._split),
      out_shardings=self._split,
    )

  def layout(self, tree: Any) -> Any:
    """See `Parallel`."""
    return jax.tree.map(self._spread, tree)

  def create(self, function: Callable[..., Any], *trees: Any) -> Any:
    """See `Parallel`; no device has a whole copy."""
    compute = jax.jit(lambda *trees: self._pin(function(*trees)))
    return compute(*map(self.copy, trees))

  def fetch(self, tree: Any) -> Any:
    """See `Parallel`; all processes must call it."""
    # One array at a time is whole on a device.
    return jax.tree.map(
      lambda x: np.array(multihost_utils.process_allgather(x, tiled=True)), tree
    )

  def _in_mesh(self, function: Step) -> Step:
    """Makes a function gather parameters, see `models.layers.scan.gather`."""

    def traced(state: Any, batch: Any) -> Any:
      with jax.sharding.use_abstract_mesh(self._mesh.abstract_mesh):
        return function(state, batch)

    return traced

  def _pin(self, tree: Any) -> Any:
    """Splits arrays of a function that is compiled."""
    return jax.lax.with_sharding_constraint(tree, self.layout(tree))


FORMS: dict[str, type[Parallel]] = {
  "pmap": Pmap,
  "jit": Parallel,
  "fsdp": Fsdp,
}


def make_parallel(form: str) -> Parallel:
  """Returns the form of data parallelism that `train.parallel` names.

  Raises:
    ValueError: for an unknown name.
  """
  if form not in FORMS:
    raise ValueError(
      f"train.parallel: expected one of {', '.join(FORMS)}, got {form!r}"
    )
  return FORMS[form]()
