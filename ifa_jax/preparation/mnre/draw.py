"""Decodes and resizes the pictures and crops of plans, on all cores.

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

from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.mnre.crops import Crop
from ifa_jax.preparation.mnre.plan import Plan
from ifa_jax.runtime import cores

# Rows that share a picture follow each other; a chunk opens it once.
_CHUNK_ROWS = 8
# Rows between the reader and the writer. One takes up to 0.2 MB.
_MAX_WAITING_ROWS = 256

# Path of the picture, or None, and kind -> crops, as `Plan` has them.
_Job = tuple[str | None, dict[str, tuple[Crop | None, ...]], str]


class Drawn(NamedTuple):
  """The pixels of a row.

  Attributes:
    squares: kind -> PNG files.
    picture_size: (width, height) in pixels, (0, 0) without a picture.
    error: the reason why a file cannot be drawn, or "".
  """

  squares: dict[str, list[bytes]]
  picture_size: tuple[int, int]
  error: str


def start_pool(num_workers: int) -> Executor | None:
  """Starts the workers, which load while the caller goes on.

  Args:
    num_workers: processes, 0 for one per core.

  Returns:
    None for one worker: the calling process.
  """
  num_workers = num_workers or cores.num_cores()
  if num_workers == 1:
    return None
  # Not "fork": TensorFlow's threads do not survive it.
  pool = concurrent.futures.ProcessPoolExecutor(
    num_workers,
    multiprocessing.get_context("spawn"),
    initializer=_exit_with_parent,
  )
  for _ in range(num_workers):
    pool.submit(_draw_chunk, [], {})  # A worker starts with its first task.
  return pool


def draw_all(
  plans: Iterable[Plan],
  image_size: int,
  patch_size: int,
  pool: Executor | None,
  resize: str = "fit",
) -> Iterator[tuple[Plan, Drawn]]:
  """Yields each plan with its squares, in order.

  Args:
    plans: any number; a few hundred at most are held at a time.
    image_size: side of the whole picture in pixels.
    patch_size: side of a patch in pixels.
    pool: `start_pool`; None draws in this process.
    resize: see `decode.fit`.
  """
  # Files may have changed since an earlier run in this process.
  for cached in (_square, _picture_size, _open):
    cached.cache_clear()
  sizes = {"image": image_size, **schema.crop_sizes(patch_size)}
  plans = iter(plans)
  waiting: collections.deque[tuple[list[Plan], Future]] = collections.deque()
  while chunk := list(itertools.islice(plans, _CHUNK_ROWS)):
    jobs = [(plan.picture, plan.squares, resize) for plan in chunk]
    waiting.append((chunk, _submit(pool, jobs, sizes)))
    if len(waiting) * _CHUNK_ROWS >= _MAX_WAITING_ROWS:
      chunk, future = waiting.popleft()
      yield from zip(chunk, future.result(), strict=True)
  for chunk, future in waiting:
    yield from zip(chunk, future.result(), strict=True)


def _exit_with_parent() -> None:
  """Ends a worker whose parent was killed; it would wait forever."""

  def wait():
    multiprocessing.parent_process().join()  # pyright: ignore[reportOptionalMemberAccess]
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _submit(
  pool: Executor | None, jobs: list[_Job], sizes: dict[str, int]
) -> Future:
  """Hands jobs to a worker, unless they need no file at all."""
  if pool and any(
    crop for _, kinds, _ in jobs for crop in sum(kinds.values(), ())
  ):
    return pool.submit(_draw_chunk, jobs, sizes)
  done = Future()
  done.set_result(_draw_chunk(jobs, sizes))
  return done


def _draw_chunk(jobs: list[_Job], sizes: dict[str, int]) -> list[Drawn]:
  return [_draw(*job, sizes) for job in jobs]


def _draw(
  picture: str | None,
  squares: dict[str, tuple[Crop | None, ...]],
  resize: str,
  sizes: dict[str, int],
) -> Drawn:
  try:
    pngs = {
      kind: [_square(crop, picture, sizes[kind], resize) for crop in crops]
      for kind, crops in squares.items()
    }
    return Drawn(pngs, _picture_size(picture) if picture else (0, 0), "")
  except ValueError as error:
    return Drawn({}, (0, 0), str(error))


# Neighbouring rows share a picture, and so the entries of these caches.
@functools.lru_cache(maxsize=64)
def _square(
  crop: Crop | None, picture: str | None, size: int, resize: str
) -> bytes:
  """Returns the PNG file of one crop, grey for None."""
  if crop is None:
    return decode.encode_png(decode.grey(size))
  opened = _open(crop.path or picture)
  if crop.edges is not None:
    try:
      opened = decode.cut(opened, crop.edges)
    except ValueError as error:
      raise ValueError(f"{crop.origin}: {error}") from None
  return decode.encode_png(decode.fit(opened, size, resize))


@functools.lru_cache(maxsize=64)
def _picture_size(path: str) -> tuple[int, int]:
  """Returns the upright (width, height) in pixels."""
  return _open(path).size


# Two, because a picture has up to 192 MB: the whole one and a crop.
@functools.lru_cache(maxsize=2)
def _open(path: str) -> Image.Image:
  return decode.open_picture(path)
