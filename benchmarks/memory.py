r"""What an update needs of a device's memory, from shapes alone.

    python -m benchmarks.memory --config=configs/mnre.py:large
    python -m benchmarks.memory --config=configs/mnre.py:large \
        --config.train.batch_size=256 --config.train.num_slices=8 \
        --config.model.dtype=bfloat16 --num_devices=8

Parameters, gradients and the optimizer's state lie on every device; what the
forward pass keeps for the backward pass grows with the rows that a device works
through at once. That is what JAX's `vjp` keeps; XLA needs some room to work
beside, about what a layer computes. Nothing is computed, and no accelerator is
asked for.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from ifa_jax.cli import app, tables
from ifa_jax.models import build, parameters
from ifa_jax.models.base import System
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.training import optimizer
from ifa_jax.training.config.resolve import with_dtype
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.steps import row_sums

_GB = 1e9


def size_of(tree: Any) -> int:
  """Returns the bytes of a tree of shapes."""
  leaves = jax.tree.leaves(tree)
  return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)


def kept_bytes(model: System, text_len: int) -> int:
  """Returns the bytes that the forward pass keeps of each row.

  Layers are stacked where a run stacks them, and keep what it keeps there.
  """
  shapes = parameters.abstract_params(model)
  layout = LayerLayout(model.scans_layers)
  shapes = jax.eval_shape(layout.convert, shapes)
  module = build(model)

  def keep(params, batch):
    def loss(params):
      rngs = {"dropout": jax.random.key(0)}
      output = module.apply({"params": params}, batch, train=True, rngs=rngs)
      return row_sums(output.logits, batch)[0]

    return jax.vjp(loss, params)[1]

  def size(rows):
    batch = jax.eval_shape(
      lambda: parameters.blank_batch(model, rows, text_len)
    )
    return size_of(jax.eval_shape(keep, shapes, batch))

  # What does not grow with the rows is parameters, which are counted already.
  return size(2) - size(1)


def estimate(
  config: RunConfig, num_devices: int, text_len: int
) -> dict[str, float]:
  """Returns the bytes of each part of an update, on one device.

  Args:
    config: of the run; its dtype is decided.
    num_devices: that share a batch.
    text_len: tokens of the longest batch.

  Raises:
    ValueError: if devices and slices do not divide the batch.
  """
  model, train = config.model, config.train
  parts = num_devices * train.num_slices
  rows, rest = divmod(train.batch_size, parts)
  if rest:
    raise ValueError(
      f"train.batch_size: want a multiple of {parts}, devices times"
      f" train.num_slices, found {train.batch_size}"
    )
  shapes = parameters.abstract_params(model)
  tx = optimizer.make_optimizer(config.optim, shapes, num_steps=1000)
  return {
    "parameters": size_of(shapes),
    "optimizer": size_of(jax.eval_shape(tx.init, shapes)),
    "gradients": size_of(shapes) * (2 if train.num_slices > 1 else 1),
    f"kept of {rows} rows": rows * kept_bytes(model, text_len),
  }


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  config_flags.DEFINE_config_file("config", None, "FILE[:VARIANT].")
  flags.DEFINE_integer("num_devices", 1, "That share a batch.", lower_bound=1)
  flags.DEFINE_integer("text_len", 48, "Tokens of a text.", lower_bound=1)
  flags.mark_flag_as_required("config")


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  config = with_dtype(RunConfig.from_dict(values.config.to_dict()))
  found = estimate(config, values.num_devices, values.text_len)
  rows = [[name, f"{size / _GB:.2f}"] for name, size in found.items()]
  rows.append(["in all", f"{sum(found.values()) / _GB:.2f}"])
  title = (
    f"An update of {config.train.batch_size} rows over"
    f" {values.num_devices} devices, {config.train.num_slices} slices,"
    f" {config.model.dtype}"
  )
  tables.print_table(tables.make_table(title, ("on each", "GB"), rows))


if __name__ == "__main__":
  _define_flags()
  app.run(main)
