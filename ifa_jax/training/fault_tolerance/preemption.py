"""SIGTERM and SIGINT while a run computes: it is to save, and to end.

A cluster sends SIGTERM some seconds before it takes a machine away, and Ctrl-C
is SIGINT. The first signal asks the loop to stop behind a step; a second SIGINT
ends the process at once.
"""

import logging
import signal
import threading
from types import FrameType
from typing import Any, NoReturn

from ifa_jax.runtime import collectives

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("ifa_jax")


class StoppedError(SystemExit):
  """The end of a process that saved what it had: 128 + the signal's number.

  Not 0, with which a cluster would take the run for finished.
  """

  def __init__(self, number: int):
    """Ends with the status that a shell gives a process killed so."""
    super().__init__(128 + number)


class Preemption:
  """Hears of signals. Use as a context manager, around the loop.

  Until `reached` is first asked nothing new is there to be saved, and a signal
  does what it did before. Outside of the main thread that remains so.

  Attributes:
    is_reached: whether `reached` has answered so.
  """

  def __init__(self):
    """Hears nothing yet."""
    self.is_reached = False
    # Where there are several processes, another one may have heard it.
    self._signal = signal.SIGTERM
    self._is_asked = False
    self._before: dict[int, Any] | None = None

  def __enter__(self) -> "Preemption":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Gives signals their former meaning."""
    for number, handler in (self._before or {}).items():
      signal.signal(number, handler)

  def reached(self, step: int) -> bool:
    """Whether all processes are to save the state of this step, and to stop.

    Args:
      step: that was made; each process must ask at every one, in order.
    """
    if self._before is None:
      self._before = self._listen()
    self.is_reached = self._is_asked
    if collectives.count() > 1:
      from jax.experimental import multihost_utils

      # One that comes after the last step of the fastest process.
      self.is_reached = multihost_utils.reached_preemption_sync_point(step)
    return self.is_reached

  def stop(self, step: int) -> NoReturn:
    """Tells that a step is saved, and ends the process.

    Raises:
      StoppedError: always.
    """
    _log.info(
      "Stopped by %s, step %d is saved: the same command goes on from there",
      self._signal.name,
      step,
    )
    raise StoppedError(self._signal)

  def _listen(self) -> dict[int, Any]:
    """Installs handlers; returns what was there before them."""
    if threading.current_thread() is not threading.main_thread():
      return {}
    # JAX itself hears SIGTERM where there are several processes, and tells all.
    alone = collectives.count() == 1
    heard = _SIGNALS if alone else (signal.SIGINT,)
    return {
      number: signal.signal(number, self._hear)
      for number in heard
      # What was started with nohup, or in a script's background.
      if signal.getsignal(number) != signal.SIG_IGN
    }

  def _hear(self, number: int, _: FrameType | None) -> None:
    self._is_asked, self._signal = True, signal.Signals(number)
    if number == signal.SIGINT:
      signal.signal(number, signal.SIG_DFL)
      if collectives.count() > 1:
        signal.raise_signal(signal.SIGTERM)
