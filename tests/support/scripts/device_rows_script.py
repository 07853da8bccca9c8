"""Gathers batches on 4 simulated devices; prints JSON for `test_device_cache`.

Runs in its own process because the number of devices is fixed when JAX starts.
"""

import json
import os
import sys

os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from ifa_jax.data.pipeline.device_cache import DeviceRows
from ifa_jax.runtime.forms import FORMS, make_parallel

NUM_ROWS, BATCH = 11, 8


def same(found, wanted):
  """Returns whether two batches have equal values on the same devices."""
  parts = [
    {
      str(shard.device): np.asarray(shard.data)
      for shard in x.addressable_shards
    }
    for x in (found, wanted)
  ]
  return parts[0].keys() == parts[1].keys() and all(
    np.array_equal(parts[0][device], parts[1][device]) for device in parts[0]
  )


def checks(form):
  """Returns named checks of a table of pixels under a form of parallelism."""
  rng = np.random.default_rng(0)
  table = rng.integers(0, 256, (NUM_ROWS, 2, 3), np.uint8)
  rows = rng.integers(0, NUM_ROWS, BATCH)
  parallel = make_parallel(form)
  wanted = parallel.split({"pixels": table[rows]})["pixels"]
  full = DeviceRows({"pixels": table}, parallel)
  filled = DeviceRows({"pixels": np.zeros_like(table)}, parallel)
  halves = np.array_split(rng.permutation(NUM_ROWS), 2)
  filled.write(halves[0], {"pixels": table[halves[0]]})
  partly = np.asarray(filled.take(np.resize(halves[1], BATCH))["pixels"])
  filled.write(halves[1], {"pixels": table[halves[1]]})
  step = parallel.compile_rows(
    lambda scale, batch: batch["pixels"].astype(int).sum(-1) * scale
  )
  found = full.take(rows)
  sums = parallel.rows(step(parallel.copy(np.int32(2)), parallel.split(found)))
  return {
    "laid out as split": same(found["pixels"], wanted),
    "blank where nothing was written": not partly.any(),
    "written in two parts": same(filled.take(rows)["pixels"], wanted),
    "read by a step": np.array_equal(sums, 2 * table[rows].sum(-1, dtype=int)),
    "on each device": len(found["pixels"].sharding.device_set) == 4,
  }


def main():
  report = {form: jax.tree.map(bool, checks(form)) for form in FORMS}
  report["tensorflow"] = "tensorflow" in sys.modules
  report["devices"] = jax.device_count()
  print(json.dumps(report))


if __name__ == "__main__":
  main()
