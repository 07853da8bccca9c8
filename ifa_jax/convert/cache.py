"""Encoders of the hub or of folders, converted on first use and cached.

The setting `weights` names the initial weights of a run:

    text=bert-base-uncased,vision=openai/clip-vit-base-patch32
                   encoders of transformers, each a hub id or a folder, or an
                   ONNX file of DINOv2; either may be omitted
    weights/clip   a folder that `python -m ifa_jax.convert` wrote
    random         no pretrained weights

Converted encoders are in the user's cache folder (`~/.cache/ifa_jax/weights` on
Linux, or under `XDG_CACHE_HOME`), in a folder named by a hash of the files
read. Processes that start together wait for the one that converts.
"""

import functools
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Mapping

import filelock
import platformdirs

from ifa_jax.convert import sources, store
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.sources import Source

_log = logging.getLogger("ifa_jax")

SIDES = ("text", "vision")
# Part of every key; increased when the same files convert differently.
_VERSION = 5


def parse(weights: str) -> dict[str, str]:
  """Returns the encoders that a setting names: "text", "vision" or both.

  Any other setting is a folder and gives an empty dict.

  Raises:
    ValueError: for a side that is misspelt, named twice or "random".
  """
  if not weights.startswith(tuple(f"{side}=" for side in SIDES)):
    return {}
  named: dict[str, str] = {}
  for item in weights.split(","):
    side, _, encoder = item.strip().partition("=")
    if side not in SIDES or side in named or not encoder:
      raise ValueError(
        "config.weights: expected text=ENCODER, vision=ENCODER or both with a"
        f" comma between them and none within a path, got {weights!r}"
      )
    if encoder == "random":
      raise ValueError(
        f"config.weights: {side}: expected an encoder, got random; omit"
        f" {side}= to train it from random values"
      )
    named[side] = encoder
  return named


@functools.cache
def locate(weights: str) -> str:
  """Returns the folder of converted weights for a setting.

  Converts encoders on first use. Logs the notes of the conversion.

  Raises:
    ValueError: for encoders that cannot be found, read or combined.
  """
  encoders = parse(weights)
  if not encoders:
    if not store.is_converted(weights):
      raise ValueError(
        "config.weights: expected text=ENCODER,vision=ENCODER (hub ids or"
        " folders), a folder that python -m ifa_jax.convert wrote, or random,"
        f" got {weights!r}"
      )
    return weights
  found = {side: _find(side, encoders) for side in encoders}
  folder = platformdirs.user_cache_path("ifa_jax") / "weights" / _key(found)
  with _lock(folder.with_name(f"{folder.name}.lock")):
    if not store.is_converted(folder):
      _log.info("Converting %s into %s", weights, folder)
      text, vision = encoders.get("text"), encoders.get("vision")
      store.save_converted(folder, *conversion.convert(text, vision))
  for note in store.load_provenance(folder).get("notes", ()):
    _log.warning("%s: %s", weights, note)
  return str(folder)


def _lock(path: pathlib.Path) -> filelock.AcquireReturnProxy:
  """Acquires a lock; logs a line if another process holds it."""
  lock = filelock.FileLock(path)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    return lock.acquire(timeout=0)
  except filelock.Timeout:
    _log.info("Waiting for another process that converts the same encoders")
    return lock.acquire()
  except (OSError, NotImplementedError) as error:
    raise ValueError(
      f"{path.parent}: expected a cache folder that can be written and locked,"
      f" got {type(error).__name__} ({error}); XDG_CACHE_HOME=FOLDER names"
      " another"
    ) from None


def _find(side: str, encoders: Mapping[str, str]) -> Source:
  """Returns the folder of one encoder; an error explains how to get it."""
  encoder = encoders[side]
  try:
    found = sources.find(encoder)
    # The hub's cache may hold part of a snapshot.
    found.weight_files()
    return found
  except ValueError as error:
    folders = ",".join(f"{name}=FOLDER" for name in encoders)
    download = ""
    if sources.is_hub_id(encoder) and not os.path.exists(encoder):
      download = (
        f" download it where there is a network (hf download {encoder}),"
      )
    raise ValueError(
      f"config.weights: {side} encoder {error};{download} name folders by"
      f" --config.weights={folders}, or train from random values by"
      " --config.weights=random"
    ) from None


def _key(found: Mapping[str, Source]) -> str:
  """Returns a hash of the content of the encoders' files."""
  digests = {
    side: sources.sha256_by_name(
      [*folder.small_files(), *folder.weight_files()]
    )
    for side, folder in found.items()
  }
  described = json.dumps([_VERSION, digests], sort_keys=True)
  return hashlib.sha256(described.encode()).hexdigest()[:16]
