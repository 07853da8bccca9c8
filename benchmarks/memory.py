r"""Device memory of an update, computed from shapes only.

    python -m benchmarks.memory --config=configs/mnre.py:large
    python -m benchmarks.memory --config=configs/mnre.py:large \
        --config.train.batch_size=256 --config.train.num_slices=8 \
        --config.model.dtype=bfloat16 --num_devices=8

Parameters, gradients and optimizer state are on every device; the residuals
that JAX's `vjp` keeps for the backward pass grow with the rows that a device
processes at once. XLA's working memory, about a layer's activations, is not
counted. Nothing is computed, and no accelerator is needed.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from benchmarks import harness
from ifa_jax.cli import tables
from ifa_jax.cli.settings_flags import setting
from ifa_jax.models import build, parameters
from ifa_jax.models.base import System
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.training import optimizer
from ifa_jax.training.config.resolve import with_dtype
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.steps import row_sums


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command, in addition to `--config`."""

  num_devices: int = setting("Devices that share a batch.", 1, least=1)
  text_len: int = setting("Tokens per text.", 48, least=1)


def size_of(tree: Any) -> int:
  """Returns the bytes of a tree of shapes."""
  leaves = jax.tree.leaves(tree)
  return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)


def residual_bytes(model: System, text_len: int) -> int:
  """Returns the bytes that the forward pass keeps per row."""
  # Layers are stacked as in a run.
  stack = LayerLayout(model.scans_layers).convert
  shapes = jax.eval_shape(stack, parameters.abstract_params(model))
  module = build(model)

  def forward(params, batch):
    def loss(params):
      rngs = {"dropout": jax.random.key(0)}
      output = module.apply({"params": params}, batch, train=True, rngs=rngs)
      return row_sums(output.logits, batch)[0]

    return jax.vjp(loss, params)[1]

  def size(rows):
    make = functools.partial(parameters.blank_batch, model, rows, text_len)
    return size_of(jax.eval_shape(forward, shapes, jax.eval_shape(make)))

  # The residuals that do not grow with the rows are parameters, which are
  # counted elsewhere.
  return size(2) - size(1)


def estimate(
  config: RunConfig, num_devices: int, text_len: int
) -> dict[str, float]:
  """Returns the bytes of each part of an update on one device.

  The dtype of the config is resolved; `text_len` is that of the longest batch.

  Raises:
    ValueError: if devices and slices do not divide the batch.
  """
  model, train = config.model, config.train
  parts = num_devices * train.num_slices
  rows, rest = divmod(train.batch_size, parts)
  if rest:
    raise ValueError(
      f"train.batch_size: expected a multiple of {parts} (devices times"
      f" train.num_slices), got {train.batch_size}"
    )
  shapes = parameters.abstract_params(model)
  tx = optimizer.make_optimizer(config.optim, shapes, num_steps=1000)
  return {
    "parameters": size_of(shapes),
    "optimizer": size_of(jax.eval_shape(tx.init, shapes)),
    # Slices add a sum of gradients.
    "gradients": size_of(shapes) * (2 if train.num_slices > 1 else 1),
    f"residuals of {rows} rows": rows * residual_bytes(model, text_len),
  }


def main(settings: Settings) -> None:
  """Runs the command."""
  config = with_dtype(RunConfig.from_dict(flags.FLAGS.config.to_dict()))
  found = estimate(config, settings.num_devices, settings.text_len)
  found["total"] = sum(found.values())
  rows = [[name, f"{size / 1e9:.2f}"] for name, size in found.items()]
  train = config.train
  title = (
    f"An update of {train.batch_size} rows over {settings.num_devices} devices,"
    f" {train.num_slices} slices, {config.model.dtype}"
  )
  tables.print_table(tables.make_table(title, ("on each device", "GB"), rows))


if __name__ == "__main__":
  config_flags.DEFINE_config_file("config", None, "FILE[:VARIANT].")
  flags.mark_flag_as_required("config")
  harness.run(main, Settings)
