"""Agreement between the processes of one run.

All execute the same program; only the first writes and prints. A check that
fails on one stops all of them, with its message.
"""

import os
import sys
import uuid
from collections.abc import Callable
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

# Part of an error message that is sent to the other processes.
_MESSAGE_BYTES = 2048


def count() -> int:
  """Returns the number of processes of the run."""
  # A command that has not loaded JAX is a single process; do not load it here.
  jax = sys.modules.get("jax")
  if jax is None or not jax.distributed.is_initialized():
    return 1
  return jax.process_count()


def index() -> int:
  """Returns the number of this process, from 0."""
  return sys.modules["jax"].process_index() if count() > 1 else 0


def is_first() -> bool:
  """Returns whether this process is the one that writes and prints."""
  return index() == 0


def run_on_all(function: Callable[[], Result]) -> Result:
  """Runs a function on every process; returns after all have succeeded.

  Raises:
    ValueError: on every process, if the function failed on one: its own error
      where it failed, elsewhere that of the first process that failed.
  """
  if count() == 1:
    return function()
  results, failure = list[Result](), None
  try:
    results.append(function())
  except (ValueError, KeyError, OSError) as error:
    failure = error
  messages = gather_texts("" if failure is None else str(failure) or "failed")
  if failure is not None:
    raise failure
  for number, message in enumerate(messages):
    if message:
      raise ValueError(f"process {number}: {message}")
  return results[0]


def run_on_first(function: Callable[[], object]) -> None:
  """Runs a function on the first process; a failure is raised on all."""
  run_on_all(lambda: function() if is_first() else None)


def broadcast_from_first(value: int) -> int:
  """Returns the first process's value on every process."""
  return int(_gather(np.array(value, np.int64))[0])


def check_shared(folder: str) -> None:
  """Checks that all processes see the same folder.

  Raises:
    ValueError: on every process, if one of them does not see a file that the
      first has just written.
  """
  if count() == 1:
    return
  # A number that fits into the 32 bits of JAX's integers.
  number = broadcast_from_first(uuid.uuid4().int >> 97)
  mark = os.path.join(folder, f".shared-{number:08x}")

  def see() -> None:
    if not os.path.exists(mark):
      raise ValueError(
        f"{folder}: expected storage that all processes share, got a folder"
        f" where process {index()} does not see the files of process 0"
      )

  run_on_first(lambda: open(mark, "x", encoding="utf-8").close())
  try:
    run_on_all(see)
  finally:
    if is_first():
      os.remove(mark)


def gather_texts(text: str) -> list[str]:
  """Returns the texts of all processes, truncated to 2048 bytes each."""
  # Collectives want arrays of one shape: pad, and strip the padding again.
  padded = np.zeros(_MESSAGE_BYTES, np.uint8)
  data = np.frombuffer(text.encode()[:_MESSAGE_BYTES], np.uint8)
  padded[: len(data)] = data
  lines = (bytes(line).rstrip(b"\0") for line in _gather(padded))
  return [line.decode(errors="ignore") for line in lines]


def _gather(own: np.ndarray) -> np.ndarray:
  """Returns the arrays of all processes, [processes, ...]."""
  if count() == 1:
    return np.asarray(own)[None]
  from jax.experimental import multihost_utils

  return np.asarray(multihost_utils.process_allgather(own))
