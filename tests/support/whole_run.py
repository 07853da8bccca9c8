"""Whole runs: stopping one, and comparing its files."""

import itertools
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny_run

from ifa_jax.training import loop
from ifa_jax.workdir.checkpoints import Checkpoints

TEXT = {"model": {"vision": None}}


def lines(workdir, name="metrics.jsonl"):
  return tiny_run.read_lines(pathlib.Path(workdir) / name)


def newest_leaves(workdir):
  """Returns every leaf of the last checkpoint, of any number of processes."""
  folder = pathlib.Path(workdir) / "checkpoints"
  with Checkpoints(folder) as checkpoints:
    saved = folder / str(checkpoints.newest) / "default"
  as_numpy = lambda _: ocp.RestoreArgs(restore_type=np.ndarray)  # noqa: E731
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
    args = jax.tree.map(as_numpy, reader.metadata(saved).item_metadata.tree)
    return jax.tree.leaves(reader.restore(saved, restore_args=args))


def newest_state(workdir):
  """Returns every leaf of the last checkpoint, in bits."""
  return [leaf.tobytes() for leaf in newest_leaves(workdir)]


def outcome(workdir):
  """Returns all that a run leaves, but its speed and its TensorBoard files."""
  written = [
    {key: x for key, x in line.items() if key != "examples_per_second"}
    for line in lines(workdir)
  ]
  scores = [
    (pathlib.Path(workdir) / name).read_text()
    for split in ("dev", "test")
    for name in (f"eval_{split}.json", f"predictions_{split}.jsonl")
  ]
  return written, scores, newest_state(workdir)


def snapshot(folder):
  """Returns name -> (time of change, bytes) of every file below a folder."""
  return {
    path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
    for path in sorted(pathlib.Path(folder).rglob("*"))
    if path.is_file()
  }


class StoppedError(Exception):
  """Simulates the end of a process."""


def stop_at(monkeypatch, owner, name, number):
  """Ends a process at the call `number` of a function, from 1."""
  function, count = getattr(owner, name), itertools.count(1)

  def stopping(*args, **kwargs):
    if next(count) == number:
      raise StoppedError
    return function(*args, **kwargs)

  monkeypatch.setattr(owner, name, stopping)


def run_until_stopped(built, workdir, owner, name, number):
  with pytest.MonkeyPatch.context() as patched:
    stop_at(patched, owner, name, number)
    with pytest.raises(StoppedError):
      loop.run(built, workdir)
