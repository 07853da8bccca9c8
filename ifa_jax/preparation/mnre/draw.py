"""Plans to squares of pixels, on all cores, in order.

Workers import neither TensorFlow nor transformers, and stay small.
"""

import collections
import concurrent.futures
import functools
import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import NamedTuple

from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.mnre.crops import Crop
from ifa_jax.preparation.mnre.plan import Plan

# Rows that share a picture follow each other; a chunk opens it once.
_CHUNK_ROWS = 8
# Rows between the reader and the writer. One takes up to 0.2 MB.
_MAX_WAITING_ROWS = 256


class Job(NamedTuple):
  """What a worker needs of a plan.

  Attributes:
    picture: path of the picture, or None.
    squares: for each kind, the crops to draw; None stands for grey.
    sizes: side of the squares of each kind in pixels.
  """

  picture: str | None
  squares: dict[str, tuple[Crop | None, ...]]
  sizes: dict[str, int]


class Drawn(NamedTuple):
  """What a worker returns.

  Attributes:
    squares: for each kind, PNG files.
    picture_size: (width, height) in pixels, (0, 0) without a picture.
    error: what was wrong with a file, or "".
  """

  squares: dict[str, list[bytes]]
  picture_size: tuple[int, int]
  error: str


def start_pool(num_workers: int) -> Executor | None:
  """Starts the workers, which load while the caller goes on.

  Args:
    num_workers: processes, 0 for one on each core.

  Returns:
    A context manager, or None for one worker: the calling process.
  """
  num_workers = num_workers or _num_cores()
  if num_workers == 1:
    return None
  # Not "fork": TensorFlow's threads do not survive it.
  pool = concurrent.futures.ProcessPoolExecutor(
    num_workers,
    multiprocessing.get_context("spawn"),
    initializer=_end_with_parent,
  )
  for _ in range(num_workers):
    pool.submit(_draw_chunk, [])  # A worker starts when there is work for it.
  return pool


def draw_all(
  plans: Iterable[Plan], image_size: int, patch_size: int, pool: Executor | None
) -> Iterator[tuple[Plan, Drawn]]:
  """Yields each plan with its squares, in order.

  Args:
    plans: any number; a few hundred at most are held at a time.
    image_size: side of the whole picture in pixels.
    patch_size: side of a patch in pixels.
    pool: `start_pool`; None draws in this process.
  """
  # Files may have changed since an earlier run in this process.
  for cached in (_square, _picture_size, _open):
    cached.cache_clear()
  sizes = {"image": image_size, **schema.crop_sizes(patch_size)}
  waiting = collections.deque()
  for chunk in _chunks(plans):
    jobs = [Job(plan.picture, plan.squares, sizes) for plan in chunk]
    waiting.append((chunk, _submit(pool, jobs)))
    if len(waiting) * _CHUNK_ROWS >= _MAX_WAITING_ROWS:
      yield from _result(*waiting.popleft())
  while waiting:
    yield from _result(*waiting.popleft())


def draw(job: Job) -> Drawn:
  """Draws the squares of one row."""
  try:
    squares = {
      kind: [_square(crop, job.picture, job.sizes[kind]) for crop in crops]
      for kind, crops in job.squares.items()
    }
    size = _picture_size(job.picture) if job.picture else (0, 0)
  except ValueError as error:
    return Drawn({}, (0, 0), str(error))
  return Drawn(squares, size, "")


def _end_with_parent() -> None:
  """Has a worker end when its parent is killed; it would wait for ever."""

  def wait():
    multiprocessing.parent_process().join()  # pyright: ignore[reportOptionalMemberAccess]
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _draw_chunk(jobs: list[Job]) -> list[Drawn]:
  """Draws several rows; what the pool calls."""
  return [draw(job) for job in jobs]


def _submit(pool: Executor | None, jobs: list[Job]) -> Future:
  """Hands jobs to a worker, unless they need no file at all."""
  crops = [c for job in jobs for kind in job.squares.values() for c in kind]
  if pool is not None and any(crops):
    return pool.submit(_draw_chunk, jobs)
  done = Future()
  done.set_result(_draw_chunk(jobs))
  return done


def _result(chunk: list[Plan], future: Future) -> Iterator[tuple[Plan, Drawn]]:
  """Waits for a chunk."""
  return zip(chunk, future.result(), strict=True)


def _chunks(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
  """Yields lists of `_CHUNK_ROWS` plans, the last one shorter."""
  plans = iter(plans)
  while chunk := list(itertools.islice(plans, _CHUNK_ROWS)):
    yield chunk


# The caches hold what the neighbouring rows of a picture share.
@functools.lru_cache(maxsize=64)
def _square(crop: Crop | None, picture: str | None, size: int) -> bytes:
  """Returns the PNG file of one crop, grey for None."""
  if crop is None:
    return decode.encode_png(decode.grey(size))
  opened = _open(crop.path or picture)
  if crop.edges is not None:
    try:
      opened = decode.cut(opened, crop.edges)
    except ValueError as error:
      raise ValueError(f"{crop.origin}: {error}") from None
  return decode.encode_png(decode.fit(opened, size))


@functools.lru_cache(maxsize=64)
def _picture_size(path: str) -> tuple[int, int]:
  """Returns (width, height) in pixels, upright."""
  return _open(path).size


# Two, because a picture has up to 192 MB: the whole one and a crop.
@functools.lru_cache(maxsize=2)
def _open(path: str):
  """Opens a picture, or has it at hand."""
  return decode.open_picture(path)


def _num_cores() -> int:
  """Returns the cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
