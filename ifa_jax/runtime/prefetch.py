"""Reads the next items in threads while earlier ones are used."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
  read: Callable[[Item], Result],
  items: Iterable[Item],
  most: int,
  num_threads: int,
) -> Iterator[Result]:
  """Yields `read(item)` for each item, in order.

  Args:
    read: called from several threads at once.
    items: iterated by the caller's thread only; may be endless.
    most: items that are read, or being read, before their turn.
    num_threads: that read.
  """
  with ThreadPoolExecutor(num_threads) as pool:
    waiting: collections.deque[Future[Result]] = collections.deque()
    try:
      for item in items:
        waiting.append(pool.submit(read, item))
        if len(waiting) > most:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      # Leaving the pool waits for all items that are not cancelled.
      for future in waiting:
        future.cancel()
