"""Handles SIGTERM and SIGINT: the run saves its state and ends.

A cluster sends SIGTERM some seconds before it takes a machine away; Ctrl-C is
SIGINT. The first signal asks the loop to stop after a step, a second SIGINT
ends the process at once.
"""

import contextlib
import logging
import signal
import threading
from types import FrameType
from typing import Any, NoReturn

from ifa_jax.runtime import collectives

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("ifa_jax")


class StoppedError(SystemExit):
  """The end of a process that has saved its state: 128 + the signal's number.

  Not 0, which a cluster would take for a finished run.
  """

  def __init__(self, number: int):
    """Ends with the status that a shell reports after this signal."""
    super().__init__(128 + number)


class Preemption(contextlib.AbstractContextManager):
  """Handles signals. Use as a context manager around the training loop.

  Until `reached` is first called there is nothing new to save, and signals keep
  their former effect; outside of the main thread they always do.

  Attributes:
    is_reached: the last answer of `reached`.
  """

  def __init__(self):
    """Installs no handler yet."""
    self.is_reached = False
    # With several processes, another one may have received the signal.
    self._signal = signal.SIGTERM
    self._is_asked = False
    self._before: dict[int, Any] | None = None

  def __exit__(self, *_: object) -> None:
    """Restores the former handlers."""
    for number, handler in (self._before or {}).items():
      signal.signal(number, handler)

  def reached(self, step: int) -> bool:
    """Returns whether all processes must save the state of this step and stop.

    Each process must ask after every step, in order.
    """
    if self._before is None:
      self._before = self._install()
    self.is_reached = self._is_asked
    if collectives.count() > 1:
      from jax.experimental import multihost_utils

      # A step that no process has passed yet.
      self.is_reached = multihost_utils.reached_preemption_sync_point(step)
    return self.is_reached

  def stop(self, step: int) -> NoReturn:
    """Logs that a step is saved, and ends the process.

    Raises:
      StoppedError: always.
    """
    _log.info(
      "Stopped by %s after saving step %d; the same command resumes the run",
      self._signal.name,
      step,
    )
    raise StoppedError(self._signal)

  def _install(self) -> dict[int, Any]:
    """Installs handlers; returns the former ones."""
    if threading.current_thread() is not threading.main_thread():
      return {}
    # With several processes, JAX handles SIGTERM itself and notifies all.
    single = collectives.count() == 1
    return {
      number: signal.signal(number, self._handle)
      for number in (_SIGNALS if single else (signal.SIGINT,))
      # Ignored for a process under nohup, or in the background of a script.
      if signal.getsignal(number) != signal.SIG_IGN
    }

  def _handle(self, number: int, _: FrameType | None) -> None:
    self._is_asked, self._signal = True, signal.Signals(number)
    if number == signal.SIGINT:
      signal.signal(number, signal.SIG_DFL)
      # JAX's handler then notifies the other processes.
      if collectives.count() > 1:
        signal.raise_signal(signal.SIGTERM)
