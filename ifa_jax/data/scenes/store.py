"""Scenes: the objects of each picture, and the heads of each sentence's words.

A folder has two files for each split. `train.npz` holds the arrays of
`validate`; `train.json` says how they were made:

    {"tool": "data_prep.scenes", "model": "...", "revision": "...",
     "thresholds": {"object": 0.2, "relation": 0.1},
     "features": {"kind": "encoder", ...}, "relations": "detector",
     "parser": "chain", "format_version": 1, "feature_dim": 512,
     "num_images": 7356, "num_rows": 12247, "sha256": "..."}

tool, model, revision   what found the objects, and its version
thresholds              what their scores had to exceed
features                what the vectors are: {"kind": "pixels" | "encoder"
                        | ..., ...}, or null where there are none
relations               who found the edges: "detector", "spatial" or "none"
parser                  who found the heads: "spacy ...", "chain", "mnre1" or
                        "none"

Whoever writes a split gives these, and may add what else is worth knowing; the
last five keys are added.
"""

import hashlib
import os
from collections.abc import KeysView, Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.data import schema
from ifa_jax.data.scenes import arrays as scene_arrays
from ifa_jax.data.scenes import validate
from ifa_jax.data.scenes.arrays import Scene
from ifa_jax.files import archives, json_file
from ifa_jax.files.shown import shown
from ifa_jax.workdir.run_folder import RunFolder

# Goes up when an array or a key changes meaning.
FORMAT_VERSION = 1

RELATIONS = ("detector", "spatial", "none")
_KEYS = (
  "tool",
  "model",
  "revision",
  "thresholds",
  "features",
  "relations",
  "parser",
)


class Scenes:
  """The scenes of one split.

  Attributes:
    manifest: how they were made; see above.
  """

  def __init__(
    self, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
  ):
    """Wraps checked arrays; `read_split` is the usual way."""
    self.manifest = manifest
    self._arrays = arrays
    self._images = {
      img_id: i for i, img_id in enumerate(arrays["images"].tolist())
    }
    self._rows = {row_id: i for i, row_id in enumerate(arrays["rows"].tolist())}

  @property
  def pictures(self) -> KeysView[str]:
    """File names of the pictures that have a scene."""
    return self._images.keys()

  @property
  def feature_dim(self) -> int:
    """Dv, or 0 if no scene has features."""
    return self._arrays["features"].shape[1]

  @property
  def has_labels(self) -> bool:
    """Tells whether any object has a class name."""
    return bool((self._arrays["labels"] >= 0).any())

  def scene(self, img_id: str) -> Scene | None:
    """Returns what is known of a picture, None if nothing is."""
    image = self._images.get(img_id)
    if image is None:
      return None
    return scene_arrays.unpack(self._arrays, image)

  def heads(self, row_id: str) -> np.ndarray | None:
    """Returns int[n], the head of each of a sentence's n words, if known.

    Args:
      row_id: "test/12".

    Returns:
      Words from 0; -1 for roots, of which there may be several.
    """
    row = self._rows.get(row_id)
    if row is None:
      return None
    begin, end = self._arrays["head_offsets"][row : row + 2]
    return self._arrays["heads"][begin:end]


def write_split(
  folder: str | os.PathLike,
  split: str,
  scenes: Mapping[str, Scene],
  heads: Mapping[str, Sequence[int]],
  manifest: Mapping[str, Any],
) -> None:
  """Writes a split's two files, each whole or not at all.

  Args:
    folder: where; made if absent.
    split: train, val or test.
    scenes: by the picture's file name.
    heads: by the row's id, "test/12"; a head for each word, see
      `Scenes.heads`.
    manifest: how the scenes were made, with the documented keys.

  Raises:
    ValueError: for what `read_split` would refuse; nothing is written.
  """
  _check_split(split)
  path = os.path.join(folder, f"{split}.npz")
  arrays = scene_arrays.pack(scenes, heads, path)
  manifest = {**manifest, **_facts(arrays)}
  _check_manifest(manifest, os.path.join(folder, f"{split}.json"))
  validate.check(arrays, path)
  os.makedirs(folder, exist_ok=True)
  with open(f"{path}.partial", "wb") as file:
    np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    file.flush()
    os.fsync(file.fileno())
  manifest["sha256"] = _sha256(f"{path}.partial")
  os.replace(f"{path}.partial", path)
  RunFolder(folder).write_json(f"{split}.json", manifest)


def read_split(folder: str | os.PathLike, split: str) -> Scenes:
  """Reads a split and checks everything in it.

  Raises:
    ValueError: for files that are absent, damaged, of another format, or that
      contradict themselves; names the file, and the image or row.
  """
  _check_split(split)
  path = os.path.join(folder, f"{split}.npz")
  manifest_path = os.path.join(folder, f"{split}.json")
  manifest = _read_manifest(manifest_path)
  arrays = _read_arrays(path, manifest["sha256"])
  validate.check(arrays, path)
  for key, found in _facts(arrays).items():
    if manifest[key] != found:
      raise ValueError(
        f"{manifest_path}: says {key}={shown(manifest[key])}, {split}.npz holds"
        f" {found!r}"
      )
  return Scenes(manifest, arrays)


def _check_split(split: str) -> None:
  if split not in schema.SPLITS:
    raise ValueError(f"wanted a split of {schema.SPLITS}, found {split!r}")


def _facts(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
  """Returns the part of a manifest that the arrays tell."""
  return {
    "format_version": FORMAT_VERSION,
    "feature_dim": arrays["features"].shape[1],
    "num_images": len(arrays["images"]),
    "num_rows": len(arrays["rows"]),
  }


def _read_manifest(path: str) -> dict[str, Any]:
  """Returns a manifest that this version reads."""
  try:
    manifest = json_file.load(path)
  except FileNotFoundError:
    raise ValueError(f"{path}: wanted scenes of this split, no file") from None
  if not isinstance(manifest, dict) or "format_version" not in manifest:
    raise ValueError(f"{path}: wanted an object with a format_version")
  if manifest["format_version"] != FORMAT_VERSION:
    raise ValueError(
      f"{path}: scene format {shown(manifest['format_version'])}, this"
      f" version reads {FORMAT_VERSION}; make the scenes again"
    )
  _check_manifest(manifest, path, also=("sha256",))
  return manifest


def _check_manifest(
  manifest: Mapping[str, Any], path: str, also: Sequence[str] = ()
) -> None:
  counted = ("feature_dim", "num_images", "num_rows")
  missing = [key for key in (*_KEYS, *counted, *also) if key not in manifest]
  if missing:
    raise ValueError(f"{path}: wanted the key {missing[0]!r}, found none")
  if manifest["relations"] not in RELATIONS:
    raise ValueError(
      f"{path}: wanted relations of {RELATIONS}, found"
      f" {shown(manifest['relations'])}"
    )


def _read_arrays(path: str, sha256: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file that is the one its manifest speaks of."""
  if not os.path.isfile(path):
    raise ValueError(f"{path}: wanted scenes of this split, no file")
  found = _sha256(path)
  if found != sha256:
    raise ValueError(
      f"{path}: wanted the sha256 {shown(sha256)} of its .json, found"
      f" {found!r}; make the scenes again"
    )
  with open(path, "rb") as file:
    try:
      with np.load(file, allow_pickle=False) as arrays:
        archives.check_size(arrays.zip)
        return dict(arrays)
    except Exception as error:  # Of numpy and zipfile.
      # What zipfile says may quote the file.
      reason = " ".join(str(error).split())[:200]
      raise ValueError(f"{path}: not arrays of numpy: {reason}") from None


def _sha256(path: str) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
