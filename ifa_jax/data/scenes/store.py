"""Files of scenes: objects of pictures, and heads of the words of sentences.

A folder has two files per split. `train.npz` holds the `arrays.FORM`;
`train.json` describes how they were made:

    {"tool": "data_prep.scenes", "model": "...", "revision": "...",
     "thresholds": {"object": 0.2, "relation": 0.1},
     "features": {"kind": "encoder", ...}, "relations": "detector",
     "parser": "chain", "format_version": 1, "feature_dim": 512,
     "num_images": 7356, "num_rows": 12247, "sha256": "..."}

tool, model, revision   the source of the objects, and its version
thresholds              lower bounds of their scores
features                the kind of the vectors: {"kind": "pixels" | "encoder"
                        | ..., ...}, or null without vectors
relations               the source of the edges: "detector", "spatial" or "none"
parser                  the source of the heads: "spacy ...", "chain", "mnre1"
                        or "none"

`train.npz` may have "absent", the features of absent regions [Dv], for models
that attend to them.

The writer of a split gives these keys and may add others; the last five are
added automatically.
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
from ifa_jax.files.shown import one_line, shown
from ifa_jax.workdir.run_folder import RunFolder

# Increases when an array or a key changes meaning.
FORMAT_VERSION = 1

RELATIONS = ("detector", "spatial", "none")
_KEYS = ("tool", "model", "revision", "thresholds", "features", "relations")
_KEYS += ("parser",)
# The tool that has checked the unit of its boxes before it scales them.
OWN_TOOL = "data_prep.scenes"


class Scenes:
  """The scenes of one split.

  Attributes:
    manifest: contents of the JSON file.
  """

  def __init__(
    self, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
  ):
    """Wraps validated arrays; `read_split` is the usual constructor."""
    self.manifest = manifest
    self._arrays = arrays
    self._images = {name: i for i, name in enumerate(arrays["images"].tolist())}
    self._rows = {name: i for i, name in enumerate(arrays["rows"].tolist())}

  @property
  def pictures(self) -> KeysView[str]:
    """File names of the pictures that have a scene."""
    return self._images.keys()

  @property
  def feature_dim(self) -> int:
    """Dv, or 0 if no scene has features."""
    return self._arrays["features"].shape[1]

  @property
  def absent(self) -> np.ndarray | None:
    """Features of absent regions [Dv], if they are not zero."""
    return self._arrays.get(scene_arrays.ABSENT)

  @property
  def has_labels(self) -> bool:
    """Whether any object has a class name."""
    numbers = np.unique(self._arrays["labels"])
    names = self._arrays["label_names"][numbers[numbers >= 0]]
    return bool((names != "").any())

  def scene(self, img_id: str) -> Scene | None:
    """Returns the scene of a picture, if it has one."""
    image = self._images.get(img_id)
    return None if image is None else scene_arrays.unpack(self._arrays, image)

  def heads(self, row_id: str) -> np.ndarray | None:
    """Returns int[n], the head of each word of the row "test/12", if known.

    A root has -1; a sentence may have several.
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
  absent: np.ndarray | None = None,
) -> None:
  """Writes a split's two files, each of them atomically.

  Args:
    folder: created if missing.
    split: train, val or test.
    scenes: by the picture's file name.
    heads: by the row's id, "test/12"; see `Scenes.heads`.
    manifest: the documented keys, and others.
    absent: see `Scenes.absent`; kept as float16.

  Raises:
    ValueError: if parts of the split contradict each other; names the split,
      and the image or row. Nothing is written.
  """
  path, manifest_path = _paths(folder, split)
  # The folder may be a hidden one that does not outlive the error.
  where = os.path.basename(path)
  arrays = scene_arrays.pack(scenes, heads, where)
  if absent is not None:
    arrays[scene_arrays.ABSENT] = absent.astype(np.float16)
  manifest = {**manifest, **_facts(arrays)}
  _check_manifest(manifest, os.path.basename(manifest_path), _KEYS)
  validate.check(arrays, where)
  os.makedirs(folder, exist_ok=True)
  with open(f"{path}.partial", "wb") as file:
    np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    file.flush()
    os.fsync(file.fileno())
  manifest["sha256"] = _sha256(f"{path}.partial")
  os.replace(f"{path}.partial", path)
  RunFolder(folder).write_json(f"{split}.json", manifest)


def read_split(folder: str | os.PathLike, split: str) -> Scenes:
  """Reads and validates a split.

  Raises:
    ValueError: for files that are missing, damaged, inconsistent or of another
      format; names the file, and the image or row.
  """
  path, manifest_path = _paths(folder, split)
  for name in (manifest_path, path):
    if not os.path.isfile(name):
      raise ValueError(f"{name}: expected scenes of this split, got no file")
  manifest = json_file.load(manifest_path)
  if not isinstance(manifest, dict) or "format_version" not in manifest:
    raise ValueError(
      f"{manifest_path}: expected an object with a format_version, got"
      f" {shown(manifest)}"
    )
  if manifest["format_version"] != FORMAT_VERSION:
    raise ValueError(
      f"{manifest_path}: expected scene format {FORMAT_VERSION}, got"
      f" {shown(manifest['format_version'])}; make the scenes again"
    )
  counted = ("feature_dim", "num_images", "num_rows")
  _check_manifest(manifest, manifest_path, (*_KEYS, *counted, "sha256"))
  arrays = _read_arrays(path, manifest["sha256"])
  validate.check(arrays, path, refuse_parts=manifest["tool"] != OWN_TOOL)
  for key, found in _facts(arrays).items():
    if manifest[key] != found:
      raise ValueError(
        f"{manifest_path}: expected {key}={found}, as in {split}.npz, got"
        f" {shown(manifest[key])}"
      )
  return Scenes(manifest, arrays)


def _paths(folder: str | os.PathLike, split: str) -> tuple[str, str]:
  if split not in schema.SPLITS:
    raise ValueError(f"expected a split of {schema.SPLITS}, got {split!r}")
  stem = os.path.join(folder, split)
  return f"{stem}.npz", f"{stem}.json"


def _facts(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
  """Returns the keys of a manifest that follow from the arrays."""
  return {
    "format_version": FORMAT_VERSION,
    "feature_dim": arrays["features"].shape[1],
    "num_images": len(arrays["images"]),
    "num_rows": len(arrays["rows"]),
  }


def _check_manifest(
  manifest: Mapping[str, Any], path: str, keys: Sequence[str]
) -> None:
  missing = [key for key in keys if key not in manifest]
  if missing:
    raise ValueError(f"{path}: expected the key {missing[0]!r}, got none")
  if manifest["relations"] not in RELATIONS:
    raise ValueError(
      f"{path}: expected relations of {RELATIONS}, got"
      f" {shown(manifest['relations'])}"
    )


def _read_arrays(path: str, sha256: str) -> dict[str, np.ndarray]:
  found = _sha256(path)
  if found != sha256:
    raise ValueError(
      f"{path}: expected the sha256 {shown(sha256)} of its .json, got"
      f" {found!r}; make the scenes again"
    )
  with open(path, "rb") as file:
    try:
      with np.load(file, allow_pickle=False) as arrays:
        archives.check_size(arrays.zip)
        return dict(arrays)
    except Exception as error:  # numpy and zipfile raise nearly anything.
      # zipfile's messages may quote the file.
      raise ValueError(
        f"{path}: not arrays of numpy: {one_line(error)}"
      ) from None


def _sha256(path: str) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
