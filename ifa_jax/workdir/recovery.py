"""What a broken-off run left among its checkpoints, before it goes on."""

import logging
import os
import re
import shutil

from ifa_jax.files import checksums

# What Orbax has not renamed yet, and what has been renamed to be deleted.
_BROKEN_OFF = re.compile(r"\d+\.(orbax-checkpoint-tmp.*|deleted)")
_DAMAGED = ".damaged"
_log = logging.getLogger("ifa_jax")


def clear(folder: str | os.PathLike) -> None:
  """Leaves whole checkpoints alone, the newest of them to go on from.

  What was half written or half deleted goes. Checkpoints that are newer than
  the newest whole one are damaged: they are kept under another name. Only for
  the one run that writes here.

  Raises:
    ValueError: if there are checkpoints and all are damaged; nothing changes.
  """
  damaged = _damaged(folder)
  for name in _names(folder):
    if _BROKEN_OFF.fullmatch(name):
      shutil.rmtree(os.path.join(folder, name))
  for step, found in damaged.items():
    path = os.path.join(folder, str(step))
    shutil.rmtree(path + _DAMAGED, ignore_errors=True)
    os.rename(path, path + _DAMAGED)
    _log.warning(
      "WARNING: checkpoint %d is damaged (%s): kept as %s, going on from the"
      " one before it",
      step,
      found,
      path + _DAMAGED,
    )


def _damaged(folder: str | os.PathLike) -> dict[int, str]:
  """Returns step -> what is wrong, from the newest to the first whole one."""
  steps = sorted(
    (int(name) for name in _names(folder) if name.isdigit()), reverse=True
  )
  damaged: dict[int, str] = {}
  for step in steps:
    found = checksums.damage(os.path.join(folder, str(step)))
    if found is None:
      return damaged
    damaged[step] = found
  if damaged:
    raise ValueError(
      f"{folder}: want a checkpoint to go on from, found all damaged:"
      f" {damaged[steps[0]]}; nothing was changed"
    )
  return damaged


def _names(folder: str | os.PathLike) -> list[str]:
  return os.listdir(folder) if os.path.isdir(folder) else []
