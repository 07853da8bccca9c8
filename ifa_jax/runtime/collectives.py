"""What the processes of one run settle together.

Every process executes the same program on its own devices. What must be done
once, the first does; and what each of them checks is agreed on, so that a
mistake that one of them finds ends all, with its message.
"""

import os
import sys
import uuid
from collections.abc import Callable
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

# Of an error's message, what the other processes are told.
_MESSAGE_BYTES = 2048


def count() -> int:
  """Returns the number of processes of the run."""
  # A command that does without JAX is alone, and need not load it to know.
  jax = sys.modules.get("jax")
  if jax is None or not jax.distributed.is_initialized():
    return 1
  return jax.process_count()


def index() -> int:
  """Returns the number of this process, from 0."""
  return sys.modules["jax"].process_index() if count() > 1 else 0


def is_first() -> bool:
  """Whether this process is the one that writes and prints."""
  return index() == 0


def together(function: Callable[[], Result]) -> Result:
  """Returns what a function gives, once it has succeeded on every process.

  Raises:
    ValueError: on every process, if the function failed on one. Its own error
      where it failed, elsewhere that of the first process that did.
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


def first_says(value: int) -> int:
  """Returns the first process's value on every process."""
  return int(_gather(np.array(value, np.int64))[0])


def check_shared(folder: str) -> None:
  """Checks, on all processes, that they see one and the same folder.

  Raises:
    ValueError: on every process, if one of them does not see what the first
      has just written.
  """
  if count() == 1:
    return
  own = np.frombuffer(uuid.uuid4().bytes, np.uint8)
  mark = os.path.join(folder, f".shared-{_gather(own)[0].tobytes().hex()}")

  def write():
    if is_first():
      with open(mark, "x", encoding="utf-8"):
        pass

  def see():
    if not os.path.exists(mark):
      raise ValueError(
        f"{folder}: want storage that all processes share, found that process"
        f" {index()} does not see what process 0 writes"
      )

  together(write)
  try:
    together(see)
  finally:
    if is_first():
      os.remove(mark)


def gather_texts(text: str) -> list[str]:
  """Returns the texts of all processes, cut off behind 2048 bytes."""
  room = np.zeros(_MESSAGE_BYTES, np.uint8)
  data = np.frombuffer(text.encode()[:_MESSAGE_BYTES], np.uint8)
  room[: len(data)] = data
  lines = (bytes(line).rstrip(b"\0") for line in _gather(room))
  return [line.decode(errors="ignore") for line in lines]


def _gather(own: np.ndarray) -> np.ndarray:
  """Returns the arrays of all processes, [processes, ...]."""
  if count() == 1:
    return np.asarray(own)[None]
  from jax.experimental import multihost_utils

  return np.asarray(multihost_utils.process_allgather(own))
