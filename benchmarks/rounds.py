"""What a row's turns come to."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np


class CpuClock:
  """Runs turns of a row, and tells what each took of all processors.

  Where others work on a shared machine it is steadier than what the clock on
  the wall says; threads that wait busily count, and a GPU does not.

  Attributes:
    of_example: CPU seconds of an example, turn by turn.
  """

  def __init__(self, run: Callable[[float], float]):
    """Takes the row's `run`."""
    self._run = run
    self.of_example: list[float] = []

  def __call__(self, seconds: float) -> float:
    """Runs a turn; returns examples per second."""
    wall, cpu = time.perf_counter(), time.process_time()
    rate = self._run(seconds)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    self.of_example.append(cpu / (rate * wall))
    return rate


def summarise(
  rates: list[float],
  ours: list[float] | None,
  product: list[float] | None,
  flops_of_example: float,
) -> dict[str, Any]:
  """Returns a row's figures; each round is compared with its own.

  Args:
    rates: the row's examples per second, round by round.
    ours: those of the model, or None where it was left out.
    product: FLOP/s of the product, or None where its dtype is another.
    flops_of_example: what the model needs.
  """
  achieved = np.multiply(rates, flops_of_example)
  shares = None if product is None else np.divide(achieved, product).tolist()
  return {
    "examples_per_second": rates,
    "flops_per_example": flops_of_example,
    "flops_per_second": statistics.median(achieved.tolist()),
    "share_of_peak": shares,
    "ours_over_this": ours and np.divide(ours, rates).tolist(),
  }
