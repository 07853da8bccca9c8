"""`ifa_jax.predict --ray`: predicts the blocks that are not there yet."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ifa_jax.cli import progress
from ifa_jax.cluster import connection
from ifa_jax.convert.sources import sha256
from ifa_jax.files import json_file, scratch
from ifa_jax.inference import choose_flags, jsonl
from ifa_jax.inference.blocks import cut, kinds, worker
from ifa_jax.inference.blocks.worker import Task
from ifa_jax.inference.sharing import hub
from ifa_jax.inference.sharing import sources as model_sources

_SETTINGS = "settings.json"
# The flags that records or the names of their files depend on.
_FLAGS = (
  *("workdir", "model", "boxes", "detector", "grounder", "captions"),
  *("threshold", "top_k", "allowed", "symmetric", "probabilities"),
  *("batch_size", "block_posts"),
)


def run(values: Any, address: str) -> None:
  """Predicts a file or a folder of posts.

  Args:
    values: the flags of `ifa_jax.predict`.
    address: see `cluster.connection.opened`.

  Raises:
    ValueError: for anything wrong with flags or files, or if the folder has
      records of other settings.
    OSError: if a file cannot be read or written.
  """
  paths = (values.input, values.output)
  if values.format != "jsonl" or jsonl.STANDARD in paths:
    raise ValueError(
      "--ray: expected a file or folder as --input, a folder as --output and no"
      f" --format, got {values.input}, {values.output} and {values.format}"
    )
  options = {name: getattr(values, name) for name in _FLAGS}
  sources, out = kinds.find(values.input), values.output
  choose_flags.read(values)
  _make_folder(out, sources)
  step, inputs = _describe_inputs(values)
  sizes = {os.path.basename(x): os.path.getsize(x) for x in sources}
  _claim(out, {"flags": options, **inputs, "bytes": sizes})
  with scratch.folder(out, ".partial-") as partial:
    tasks = [
      Task(source, _target(out, source, block.number), partial, block)
      for source in sources
      for block in cut.cut(
        kinds.of_file(source).places(source),
        options["block_posts"],
        options["batch_size"],
      )
    ]
    left = [task for task in tasks if not os.path.exists(task.target)]
    total, num_left = map(_num_posts, (tasks, left))
    load = functools.partial(worker.load, options, step)
    num_errors = _predict(left, load, address, total) if left else 0
  before = f"; {total - num_left} were there before" if num_left < total else ""
  print(f"{out}: {num_left} posts, {num_errors} of them invalid{before}")


def _predict(
  tasks: Sequence[Task], load: Callable[[], Any], address: str, total: int
) -> int:
  """Predicts blocks and returns the number of invalid posts in them."""
  num_errors = 0
  with (
    connection.opened(address) as workers,
    progress.bar(
      unit=" posts", total=total, initial=total - _num_posts(tasks)
    ) as bar,
  ):
    for num_posts, invalid in workers.run(load, tasks):
      bar.update(num_posts)
      num_errors += invalid
  return num_errors


def _num_posts(tasks: Sequence[Task]) -> int:
  return sum(task.block.num_posts for task in tasks)


def _target(out: str, source: str, number: int) -> str:
  name, extension = os.path.splitext(os.path.basename(source))
  return os.path.join(out, f"{name}-{number:06d}{extension}")


def _describe_inputs(values: Any) -> tuple[int, dict[str, Any]]:
  """Returns the step of the model, and the contents that records depend on."""
  # The accelerators are for the workers.
  jax.config.update("jax_platforms", "cpu")
  name = values.model or values.workdir
  folder = hub.find(name) if values.model else name
  step, file = model_sources.open_folder(folder).best()
  paths = [*values.captions, *choose_flags.files(values)]
  paths += [values.boxes] if values.boxes else []
  hashes = {path: sha256(path) for path in paths}
  return step, {
    "step": {name: step},
    "sha256": {name: sha256(file), **hashes},
  }


def _make_folder(out: str, sources: Sequence[str]) -> None:
  """Creates the folder, unless it is that of the input or has other files."""
  os.makedirs(out, exist_ok=True)
  if any(os.path.samefile(out, os.path.dirname(x) or ".") for x in sources):
    raise ValueError(
      f"--output: expected another folder than --input, got {out}"
    )
  names = os.listdir(out)
  if _SETTINGS not in names and any(not x.startswith(".") for x in names):
    raise ValueError(
      f"--output: expected a new folder, or one with {_SETTINGS} of this"
      f" command, got {out}"
    )


def _claim(out: str, wanted: dict[str, dict[str, Any]]) -> None:
  """Writes the settings, or checks that the records are of the same ones."""
  path = os.path.join(out, _SETTINGS)
  if os.path.exists(path):
    found = json_file.load(path)
    _check(path, found, wanted)
    wanted = {**wanted, "bytes": found["bytes"] | wanted["bytes"]}
  with scratch.folder(out, ".settings-") as partial:
    new = os.path.join(partial, _SETTINGS)
    json_file.write(new, wanted)
    os.replace(new, path)


def _check(path: str, found: Any, wanted: dict[str, Any]) -> None:
  """Raises ValueError if a flag, or the content of an input, has changed."""
  for kind, values in wanted.items():
    known = found.get(kind) if isinstance(found, dict) else None
    if not isinstance(known, dict):
      raise ValueError(f"{path}: expected an object with {kind!r}")
    for name, value in values.items():
      if known.get(name, value) != value:
        what = f"--{name}" if kind == "flags" else f"{kind} of {name}"
        raise ValueError(
          f"{path}: expected {what} as before, {known[name]!r}, got {value!r};"
          " choose another --output"
        )
