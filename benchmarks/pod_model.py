r"""What an update would cost on a pod, by a model: nothing here is measured.

    python -m benchmarks.pod_model [--batch_sizes=256,1024,4096] [--out=x.json]

Compute is the FLOPs of an update (`benchmarks.flops`) over a share of the
devices' published peak. Gradients, float32, are summed by rings: each device
sends 2 (n - 1) / n of their bytes. Where devices sit in nodes, each node first
sums inside, and a device then sums its part of the bytes with its like in other
nodes. Sums may run beside the backward pass, two thirds of compute ("update"),
or wait for it ("in turn"). Then each device updates all parameters: AdamW and
the norm that clips pass over as many bytes eight times. Latencies, which tell
where an update takes a few milliseconds, and input are left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags

from benchmarks import flops
from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.models import parameters
from ifa_jax.models.config import ModelConfig

# Of the gradients, once for their norm; of gradients, parameters and both
# moments to read; of all but gradients to write.
_PASSES = 1 + 4 + 3


@dataclasses.dataclass(frozen=True)
class Chip:
  """A kind of accelerator, as its maker describes it.

  Attributes:
    peak: bfloat16 FLOP/s.
    memory: bytes/s from and to its own memory.
    links: bytes/s that it sends to others of its node, all links together.
    source: who says so.
    node: devices of a node; 0 where one network joins all.
    between: bytes/s that it sends to other nodes.
    most: devices that are joined so.
  """

  peak: float
  memory: float
  links: float
  source: str
  node: int = 0
  between: float = 0.0
  most: int = 4096


CHIPS = {
  "TPU v5e": Chip(
    peak=197e12,
    memory=819e9,
    links=200e9,
    source="cloud.google.com/tpu/docs/v5e (interconnect: 1600 Gbps a chip)",
    most=256,
  ),
  "TPU v5p": Chip(
    peak=459e12,
    memory=2765e9,
    links=600e9,
    source="cloud.google.com/tpu/docs/v5p (interconnect: 4800 Gbps a chip)",
  ),
  "H100 SXM": Chip(
    peak=989e12,
    memory=3350e9,
    links=450e9,
    source="NVIDIA's H100 and DGX H100 data sheets (NVLink 900 GB/s both ways,"
    " eight InfiniBand ports of 400 Gb/s a node)",
    node=8,
    between=50e9,
  ),
}


@dataclasses.dataclass(frozen=True)
class Update:
  """Seconds of an update's parts, on each of some devices.

  Attributes:
    compute: forward and backward.
    sums: of the gradients, over all devices.
    optimizer: the new parameters.
  """

  compute: float
  sums: float
  optimizer: float

  @property
  def in_turn(self) -> float:
    """Seconds, if nothing is sent before all is computed."""
    return self.compute + self.sums + self.optimizer

  @property
  def overlapped(self) -> float:
    """Seconds, if sums run beside the backward pass."""
    shown = max(self.compute, self.compute / 3 + self.sums)
    return shown + self.optimizer


def ring_seconds(num_bytes: float, devices: int, bandwidth: float) -> float:
  """Returns how long a sum over a ring of devices takes."""
  return 2 * (devices - 1) / devices * num_bytes / bandwidth


def sum_seconds(chip: Chip, devices: int, num_bytes: float) -> float:
  """Returns how long a sum of so many bytes over all devices takes."""
  if not chip.node or devices <= chip.node:
    return ring_seconds(num_bytes, devices, chip.links)
  inside = ring_seconds(num_bytes, chip.node, chip.links)
  part, nodes = num_bytes / chip.node, devices // chip.node
  return inside + ring_seconds(part, nodes, chip.between)


def predict(
  chip: Chip, devices: int, batch_size: int, work: Mapping[str, float]
) -> Update:
  """Returns what an update costs.

  Args:
    chip: of which kind the devices are.
    devices: of a whole number of nodes.
    batch_size: over all devices.
    work: `flops` of an example's update, `gradient_bytes`, and the `share` of
      the peak that products reach.
  """
  rows = batch_size / devices
  size = work["gradient_bytes"]
  return Update(
    compute=rows * work["flops"] / (chip.peak * work["share"]),
    sums=sum_seconds(chip, devices, size),
    optimizer=_PASSES * size / chip.memory,
  )


def count_work(
  model: ModelConfig, text_len: int, share: float
) -> dict[str, float]:
  """Returns `work` of `predict` for a model at a padded length of text."""
  shapes = jax.tree.leaves(parameters.abstract_params(model))
  return {
    "flops": flops.of_update(model, text_len),
    "gradient_bytes": 4.0 * sum(leaf.size for leaf in shapes),
    "share": share,
  }


def least_batch(
  chip: Chip, devices: int, work: Mapping[str, float], efficiency: float
) -> float:
  """Returns the batch from which on compute is such a share of an update.

  With sums beside the backward pass.
  """
  other = predict(chip, devices, 0, work)
  # compute = efficiency * overlapped, for each of the two that it is the
  # greater of.
  hidden = efficiency * other.optimizer / (1 - efficiency)
  shown = efficiency * (other.sums + other.optimizer) / (1 - efficiency / 3)
  rows = max(hidden, shown) * chip.peak * work["share"] / work["flops"]
  return devices * rows


def make_lines(
  work: Mapping[str, float], devices: Sequence[int], batch_sizes: Sequence[int]
) -> list[dict[str, Any]]:
  """Returns a line for each chip, number of devices and batch that fit."""
  return [
    {
      "chip": name,
      "devices": count,
      "batch_size": batch_size,
      **dataclasses.asdict(predict(chip, count, batch_size, work)),
      "batch_for_90": least_batch(chip, count, work, 0.9),
    }
    for name, chip in CHIPS.items()
    for count in devices
    for batch_size in batch_sizes
    if batch_size % count == 0 and count <= chip.most
  ]


def _cells(line: Mapping[str, Any]) -> list[str]:
  update = Update(line["compute"], line["sums"], line["optimizer"])
  parts = (update.compute, update.sums, update.optimizer, update.overlapped)
  shares = (update.compute / x for x in (update.overlapped, update.in_turn))
  return [
    line["chip"],
    str(line["devices"]),
    str(line["batch_size"]),
    *(f"{1e3 * seconds:.1f}" for seconds in parts),
    f"{line['batch_size'] / update.overlapped:,.0f}",
    *(f"{100 * share:.0f}" for share in shares),
    f"{line['batch_for_90']:,.0f}",
  ]


# Times in milliseconds; shares of compute in percent.
_COLUMNS = ("ms", "chips", "batch", "compute", "sums", "AdamW", "update")
_COLUMNS += ("rows/s", "compute %", "in turn %", "batch, 90 %")


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_list("batch_sizes", ["256", "1024", "4096"], "Of all devices.")
  flags.DEFINE_list("devices", ["8", "64", "512"], "Whole nodes, if any.")
  flags.DEFINE_integer("text_len", 32, "Tokens of a text.", lower_bound=1)
  flags.DEFINE_float("share", 0.45, "Of the peak that is reached.", 0.01, 1.0)
  flags.DEFINE_string("out", None, "JSON file to write.")


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  model = benchmark.make_model("objects", "base", "bfloat16")
  work = count_work(model, values.text_len, values.share)
  counts = [
    [int(x) for x in values[k].value] for k in ("devices", "batch_sizes")
  ]
  lines = make_lines(work, *counts)
  title = (
    f"An update by the model, not measured: {work['flops'] / 1e9:.1f} GFLOP an"
    f" example, {work['gradient_bytes'] / 1e9:.2f} GB of gradients"
  )
  tables.print_table(tables.make_table(title, _COLUMNS, map(_cells, lines)))
  if values.out:
    found = {"work": work, "lines": lines}
    found["sources"] = {name: chip.source for name, chip in CHIPS.items()}
    tables.write_json(values.out, found)


if __name__ == "__main__":
  _define_flags()
  app.run(main)
