r"""Device memory of an update, computed from shapes only.

    python -m benchmarks.memory --config=configs/mnre.py:large
    python -m benchmarks.memory --config=configs/mnre.py:large \
        --config.train.batch_size=256 --config.train.num_slices=8 \
        --config.model.dtype=bfloat16 --num_devices=8
    python -m benchmarks.memory --config=configs/mnre.py:large \
        --config.train.parallel=fsdp --num_devices=8 --compiled

Parameters, gradients and optimizer state are on every device, or split over
them (fsdp); the residuals that JAX's `vjp` keeps for the backward pass grow
with the rows that a device processes at once. XLA's working memory, about a
layer's activations and with fsdp its parameters, is not counted. Nothing is
computed, and no accelerator is needed.

`--compiled` compiles the update for simulated CPU devices and adds XLA's count
of one of them, which has everything: the state and batch, and temporaries.
Other backends order and fuse operations differently.
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
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models import build, parameters
from ifa_jax.models.base import System
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.runtime import split_state
from ifa_jax.runtime.forms import make_parallel
from ifa_jax.training import optimizer
from ifa_jax.training.config.resolve import with_dtype
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.steps import TrainStep, row_sums, start_state


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command, in addition to `--config`."""

  num_devices: int = setting("Devices that share a batch.", 1, least=1)
  text_len: int = setting("Tokens per text.", 48, least=1)
  compiled: bool = setting("Compile the update as well (jit, fsdp).", False)


def size_of(tree: Any, num_devices: int = 1) -> int:
  """Returns the bytes on a device of a tree of shapes that devices split."""

  def size(x):
    is_split = len(split_state.spec(x.shape, num_devices)) > 0
    whole = math.prod(x.shape) * x.dtype.itemsize
    return whole // num_devices if is_split else whole

  return sum(map(size, jax.tree.leaves(tree)))


def residual_bytes(model: System, text_len: int) -> int:
  """Returns the bytes that the forward pass keeps per row."""
  # Layers are stacked as in a run.
  stack = LayerLayout(model.scans_layers).convert
  shapes = jax.eval_shape(stack, parameters.abstract_params(model))
  module = build(model)

  def forward(params, batch):
    def loss(params):
      rngs = {"dropout": jax.random.key(0)}
      output: Any = module.apply(
        {"params": params}, batch, train=True, rngs=rngs
      )
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
  With fsdp the state is split.

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
  split = num_devices if train.parallel == "fsdp" else 1
  params = size_of(shapes, split)
  return {
    "parameters": params,
    "optimizer": size_of(jax.eval_shape(tx.init, shapes), split),
    # Slices add a sum of gradients.
    "gradients": params * (2 if train.num_slices > 1 else 1),
    f"residuals of {rows} rows": rows * residual_bytes(model, text_len),
  }


def compiled(config: RunConfig, text_len: int) -> dict[str, float]:
  """Returns the bytes of an update on each of JAX's devices, as XLA counts.

  Raises:
    ValueError: for the form pmap, and as `Parallel.check`.
  """
  model, train = config.model, config.train
  check_choice("train.parallel", train.parallel, ("jit", "fsdp"))
  parallel = make_parallel(train.parallel)
  parallel.check(train.batch_size, "train.batch_size")
  shapes = parameters.abstract_params(model)
  scans = train.scan_layers and model.scans_layers
  layout = optimizer.choose_layout(scans, config.optim, shapes)
  tx = optimizer.make_optimizer(config.optim, shapes, 1000, layout)
  state = jax.eval_shape(lambda x: start_state(layout.convert(x), tx), shapes)
  state = jax.tree.map(
    lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
    state,
    parallel.layout(state),
  )
  make = functools.partial(
    parameters.blank_batch, model, train.batch_size, text_len
  )
  step = TrainStep(build(model, train.remat), tx, 0, train.num_slices)
  update: Any = parallel.compile_train(step)
  found = update.lower(state, jax.eval_shape(make)).compile().memory_analysis()
  return {
    "compiled: state and batch": found.argument_size_in_bytes,
    "compiled: temporaries": found.temp_size_in_bytes,
  }


def main(settings: Settings) -> None:
  """Runs the command."""
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", settings.num_devices)
  config = with_dtype(RunConfig.from_dict(flags.FLAGS.config.to_dict()))
  found = estimate(config, settings.num_devices, settings.text_len)
  found["total"] = sum(found.values())
  if settings.compiled:
    counts = compiled(config, settings.text_len)
    found |= counts | {"compiled: total": sum(counts.values())}
  rows = [[name, f"{size / 1e9:.2f}"] for name, size in found.items()]
  train = config.train
  title = (
    f"An update of {train.batch_size} rows over {settings.num_devices} devices,"
    f" {train.num_slices} slices, {config.model.dtype}, {train.parallel}"
  )
  tables.print_table(tables.make_table(title, ("on each device", "GB"), rows))


if __name__ == "__main__":
  config_flags.DEFINE_config_file("config", None, "FILE[:VARIANT].")
  flags.mark_flag_as_required("config")
  harness.run(main, Settings)
