"""Batches whose objects are dropped, doubled, exchanged or mislabelled.

The sources of a row are the slots that its objects are taken from, int[K] with
-1 for an absent one. The whole picture and the text never change.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ifa_jax.analyze.objects.found import REGIONS, Objects
from ifa_jax.batch import Batch
from ifa_jax.data.images import decode

# Field -> int[n, K].
Sources = dict[str, np.ndarray]


def dropped(objects: Objects) -> Sources:
  """Returns sources without any object."""
  none = {k: np.zeros_like(v) for k, v in objects.present.items()}
  return _in_order(none, objects.kept)


def without_repeats(objects: Objects) -> Sources:
  """Returns sources of all objects but those that repeat another one."""
  kept = {k: v & ~objects.repeats[k] for k, v in objects.present.items()}
  return _in_order(kept, objects.kept)


def doubled(objects: Objects) -> Sources:
  """Returns sources of all objects, which then follow again in free slots."""
  twice = _in_order(objects.present, objects.kept)
  for field, sources in twice.items():
    for row, own in enumerate(objects.present[field]):
      again, free = np.flatnonzero(own), np.flatnonzero(sources[row] < 0)
      num = min(len(again), len(free))
      sources[row, free[:num]] = again[:num]
  return twice


def changed(objects: Objects, sources: Sources) -> float:
  """Returns the share of rows whose objects the sources change."""
  own = _in_order(objects.present, objects.kept)
  rows = [(sources[k] != own[k]).any(axis=1) for k in own]
  return float(np.any(rows, axis=0).mean())


def rearrange(batch: Batch, sources: Mapping[str, np.ndarray]) -> Batch:
  """Returns a batch with objects of other slots, as field -> int[B, K].

  The structural alignment moves with the objects; it is not computed again.
  """
  for field, slots in sources.items():
    batch = dataclasses.replace(batch, **_fields(batch, field, slots))
  return batch


def rearranged(
  batches: np.ndarray, sources: Sources
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the sources of the rows of each batch, int[steps, B]."""
  for rows in np.maximum(batches, 0):
    yield {field: slots[rows] for field, slots in sources.items()}


def keep_picture(batch: Batch, own: Batch, kept: int) -> Batch:
  """Returns another picture's batch with the own whole picture.

  Args:
    batch: with the pictures of other rows.
    own: the same rows with their own pictures.
    kept: regions that are the whole picture.
  """
  same: dict[str, Any] = {"image": own.image, "image_mask": own.image_mask}
  if kept:
    for name in ("regions", "region_boxes", "region_mask"):
      parts = getattr(own, name)[:, :kept], getattr(batch, name)[:, kept:]
      same[name] = np.concatenate(parts, axis=1)
  return dataclasses.replace(batch, **same)


def _fields(batch: Batch, field: str, slots: np.ndarray) -> dict[str, Any]:
  if field != REGIONS:
    grey = int(decode.grey(1)[0, 0, 0])
    pixels, mask = getattr(batch, field), getattr(batch, f"{field}_mask")
    return {
      field: _take(np.asarray(pixels), slots, grey),
      f"{field}_mask": _take(mask, slots, False),
    }
  names = ("regions", "region_boxes", "region_mask")
  found = {name: _take(getattr(batch, name), slots, 0) for name in names}
  if batch.alignment is not None:
    by_object = np.swapaxes(batch.alignment, 1, 2)
    found["alignment"] = np.swapaxes(_take(by_object, slots, 0), 1, 2)
  return found


def _take(values: np.ndarray, slots: np.ndarray, absent: int) -> np.ndarray:
  """Takes [B, K, ...] at int[B, K] slots."""
  rows = np.arange(len(slots))[:, None]
  taken = values[rows, np.maximum(slots, 0)]
  taken[slots < 0] = absent
  return taken


def _in_order(kept: dict[str, np.ndarray], first: int) -> Sources:
  """Returns the sources of the slots of bool[n, K] without gaps."""
  ordered = {}
  for field, flags in kept.items():
    flags = flags.copy()
    flags[:, :first] = True
    slots = np.argsort(~flags, axis=1, kind="stable")
    places = np.arange(flags.shape[1])
    ordered[field] = np.where(
      places < flags.sum(axis=1, keepdims=True), slots, -1
    )
  return ordered
