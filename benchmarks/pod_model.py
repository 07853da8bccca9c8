r"""Predicted time of an update on a pod, from a model; nothing is measured.

    python -m benchmarks.pod_model [--share=0.45] [--out=pod_model.json]

Compute is the FLOPs of an update (`benchmarks.flops`) over a share of the
devices' published peak. Float32 gradients are summed by rings: each device
sends 2 (n - 1) / n of their bytes. If devices are in nodes, each node first
sums inside; each device then sums its part with the same part of other nodes.
Sums overlap with the backward pass, two thirds of compute ("update"), or follow
it ("in turn"). Each device then updates all parameters: AdamW and gradient
clipping pass over their bytes eight times. Latencies, which matter for updates
of a few milliseconds, and input are not modelled.
"""

import dataclasses
import itertools
from typing import NamedTuple

from benchmarks import flops, harness
from ifa_jax import benchmark
from ifa_jax.cli import tables
from ifa_jax.cli.settings_flags import setting
from ifa_jax.files import json_file
from ifa_jax.models import parameters

# Gradients are read for their norm; gradients, parameters and both moments are
# read, and the last three written.
_PASSES = 1 + 4 + 3
# Over all devices; devices of a pod; tokens per text.
_BATCH_SIZES, _DEVICES, _TEXT_LEN = (256, 1024, 4096), (8, 64, 512), 32
# Times in milliseconds; shares of compute in percent.
_COLUMNS = ("ms", "chips", "batch", "compute", "sums", "AdamW", "update")
_COLUMNS += ("rows/s", "compute %", "in turn %", "batch, 90 %")


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  share: float = setting("Share of the peak that is reached.", 0.45, least=0)
  out: str | None = setting("JSON file to write.", None)


class Chip(NamedTuple):
  """A kind of accelerator: bfloat16 FLOP/s, and bytes/s of each connection."""

  peak: float
  memory: float
  links: float  # To others of its node, over all links.
  source: str
  node: int = 0  # Devices per node; 0 if one network connects all.
  between: float = 0.0  # To other nodes.
  max_devices: int = 4096


CHIPS = {
  "TPU v5e": Chip(
    peak=197e12,
    memory=819e9,
    links=200e9,
    source="cloud.google.com/tpu/docs/v5e (interconnect: 1600 Gbps a chip)",
    max_devices=256,
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


class Update(NamedTuple):
  """Seconds of each part of an update: `sums` are those of the gradients."""

  compute: float
  sums: float
  optimizer: float

  @property
  def in_turn(self) -> float:
    """Seconds if sums follow the backward pass."""
    return self.compute + self.sums + self.optimizer

  @property
  def overlapped(self) -> float:
    """Seconds if sums overlap with the backward pass."""
    visible = max(self.compute, self.compute / 3 + self.sums)
    return visible + self.optimizer


def sum_seconds(chip: Chip, devices: int, num_bytes: float) -> float:
  """Returns the seconds of a sum over all devices, in rings."""

  def ring(num_bytes, devices, bandwidth):
    return 2 * (devices - 1) / devices * num_bytes / bandwidth

  if not chip.node or devices <= chip.node:
    return ring(num_bytes, devices, chip.links)
  part, nodes = num_bytes / chip.node, devices // chip.node
  inside = ring(num_bytes, chip.node, chip.links)
  return inside + ring(part, nodes, chip.between)


class Work(NamedTuple):
  """FLOPs per example at the reached share of the peak, bytes of gradients."""

  flops: float
  gradient_bytes: float
  share: float

  def on(self, chip: Chip, devices: int, batch_size: float) -> Update:
    """Returns the update of a batch on a whole number of nodes."""
    rows = batch_size / devices
    return Update(
      compute=rows * self.flops / (chip.peak * self.share),
      sums=sum_seconds(chip, devices, self.gradient_bytes),
      optimizer=_PASSES * self.gradient_bytes / chip.memory,
    )


def min_batch(chip: Chip, devices: int, work: Work, efficiency: float) -> float:
  """Returns the batch size at which compute is this share of an update."""
  other = work.on(chip, devices, 0)
  # compute = efficiency * overlapped, solved for both cases of its maximum.
  hidden = efficiency * other.optimizer / (1 - efficiency)
  visible = efficiency * (other.sums + other.optimizer) / (1 - efficiency / 3)
  rows = max(hidden, visible) * chip.peak * work.share / work.flops
  return devices * rows


def main(settings: Settings) -> None:
  """Runs the command."""
  model = benchmark.make_model("objects", "base", "bfloat16")
  gradient_bytes = 4.0 * parameters.count_params(model)
  work = Work(flops.of_update(model, _TEXT_LEN), gradient_bytes, settings.share)
  lines, rows = [], []
  for (name, chip), devices, batch_size in itertools.product(
    CHIPS.items(), _DEVICES, _BATCH_SIZES
  ):
    # Whole rows on each device, and no more devices than a pod has.
    if batch_size % devices or devices > chip.max_devices:
      continue
    update = work.on(chip, devices, batch_size)
    enough = min_batch(chip, devices, work, 0.9)
    line = {"chip": name, "devices": devices, "batch_size": batch_size}
    lines.append(line | update._asdict() | {"batch_for_90": enough})
    shares = (update.compute / x for x in (update.overlapped, update.in_turn))
    rows.append(
      [
        *map(str, line.values()),
        *(f"{1e3 * seconds:.1f}" for seconds in (*update, update.overlapped)),
        f"{batch_size / update.overlapped:,.0f}",
        *(f"{100 * share:.0f}" for share in shares),
        f"{enough:,.0f}",
      ]
    )
  title = (
    f"An update by the model, not measured: {work.flops / 1e9:.1f} GFLOP per"
    f" example, {work.gradient_bytes / 1e9:.2f} GB of gradients"
  )
  tables.print_table(tables.make_table(title, _COLUMNS, rows))
  if settings.out:
    sources = {name: chip.source for name, chip in CHIPS.items()}
    found = {"work": work._asdict(), "lines": lines, "sources": sources}
    json_file.write(settings.out, found)


if __name__ == "__main__":
  harness.run(main, Settings)
