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
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks import flops, harness
from benchmarks.harness import flag
from ifa_jax import benchmark
from ifa_jax.cli import tables
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

  share: float = flag(0.45, "Share of the peak that is reached.")
  out: str | None = flag(None, "JSON file to write.")


class Chip(NamedTuple):
  """A kind of accelerator: bfloat16 FLOP/s, and bytes/s of each connection."""

  peak: float
  memory: float
  # To others of its node, over all links.
  links: float
  source: str
  # Devices per node; 0 if one network connects all.
  node: int = 0
  # To other nodes.
  between: float = 0.0
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


def ring_seconds(num_bytes: float, devices: int, bandwidth: float) -> float:
  """Returns the seconds of a sum over a ring of devices."""
  return 2 * (devices - 1) / devices * num_bytes / bandwidth


def sum_seconds(chip: Chip, devices: int, num_bytes: float) -> float:
  """Returns the seconds of a sum over all devices."""
  if not chip.node or devices <= chip.node:
    return ring_seconds(num_bytes, devices, chip.links)
  inside = ring_seconds(num_bytes, chip.node, chip.links)
  part, nodes = num_bytes / chip.node, devices // chip.node
  return inside + ring_seconds(part, nodes, chip.between)


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


def count_work(share: float) -> Work:
  """Returns the work of the model of full size."""
  model = benchmark.make_model("objects", "base", "bfloat16")
  num_params = parameters.count_params(model)
  return Work(flops.of_update(model, _TEXT_LEN), 4.0 * num_params, share)


def min_batch(chip: Chip, devices: int, work: Work, efficiency: float) -> float:
  """Returns the batch size at which compute is this share of an update."""
  other = work.on(chip, devices, 0)
  # compute = efficiency * overlapped, solved for both cases of its maximum.
  hidden = efficiency * other.optimizer / (1 - efficiency)
  visible = efficiency * (other.sums + other.optimizer) / (1 - efficiency / 3)
  rows = max(hidden, visible) * chip.peak * work.share / work.flops
  return devices * rows


def describe(chip: str, devices: int, batch_size: int, work: Work) -> dict:
  """Returns the figures of an update."""
  return {
    "chip": chip,
    "devices": devices,
    "batch_size": batch_size,
    **work.on(CHIPS[chip], devices, batch_size)._asdict(),
    "batch_for_90": min_batch(CHIPS[chip], devices, work, 0.9),
  }


def cells(line: Mapping[str, Any]) -> list[str]:
  """Returns a line of the table."""
  update = Update(*(line[name] for name in Update._fields))
  shares = (update.compute / x for x in (update.overlapped, update.in_turn))
  return [
    *(str(line[name]) for name in ("chip", "devices", "batch_size")),
    *(f"{1e3 * seconds:.1f}" for seconds in (*update, update.overlapped)),
    f"{line['batch_size'] / update.overlapped:,.0f}",
    *(f"{100 * share:.0f}" for share in shares),
    f"{line['batch_for_90']:,.0f}",
  ]


def main(settings: Settings) -> None:
  """Runs the command."""
  work = count_work(settings.share)
  lines = [
    describe(name, devices, batch_size, work)
    for name, chip in CHIPS.items()
    for devices in _DEVICES
    for batch_size in _BATCH_SIZES
    # Whole rows on each device, and no more devices than a pod has.
    if batch_size % devices == 0 and devices <= chip.max_devices
  ]
  title = (
    f"An update by the model, not measured: {work.flops / 1e9:.1f} GFLOP per"
    f" example, {work.gradient_bytes / 1e9:.2f} GB of gradients"
  )
  tables.print_table(tables.make_table(title, _COLUMNS, map(cells, lines)))
  if settings.out:
    sources = {name: chip.source for name, chip in CHIPS.items()}
    found = {"work": work._asdict(), "lines": lines, "sources": sources}
    tables.write_json(settings.out, found)


if __name__ == "__main__":
  harness.run(main, Settings)
