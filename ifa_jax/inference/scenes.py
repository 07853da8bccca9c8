"""Scenes of posts of one's own, made as those that a run was trained on."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from ifa_jax.data.images.boxes import Box
from ifa_jax.data.scenes import fallbacks
from ifa_jax.data.scenes.store import Scene
from ifa_jax.data.text import dependency_parser
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.files.json_file import is_finite
from ifa_jax.files.shown import shown
from ifa_jax.workdir.run_folder import SCENES_FILE

# As `dependency_parser` names its parser. spaCy imports a package, or reads a
# folder, by
# the name that it is given, so that of a stranger's model must be a model's.
_SPACY = re.compile(r"spacy [^,]+, ([a-z]{2,3}_\w+) \S+", re.ASCII)


class PostScenes:
  """Makes scenes after the manifest of a run's training scenes."""

  def __init__(self, manifest: Mapping[str, Any] | None, where: str):
    """Loads the encoder of objects and the parser that the manifest names.

    Args:
      manifest: of `data.scenes.store`, or None for a run without scenes, in
        which no post has any object.
      where: the run's folder, for errors.

    Raises:
      ValueError: if the objects' features are not those of an encoder that is
        there, or the parser is not installed.
    """
    self._manifest = manifest
    self._parser = None
    if manifest is None:
      return
    _check(manifest, where)
    features = manifest["features"]
    source = region_encoder.find(features, where)
    self._encoder = region_encoder.load(source)
    found = self._encoder.describe()
    # A shared model brings a copy; the other keys are the same.
    if found | {"folder": None} != features | {"folder": None}:
      raise ValueError(
        f"{source}: want the encoder of the run's scenes {features}, found"
        f" {found}"
      )
    if named := _SPACY.fullmatch(manifest["parser"]):
      self._parser = dependency_parser.load("spacy", named[1])

  def scene(self, picture: Image.Image, listed: Sequence[Box]) -> Scene | None:
    """Returns a picture's objects.

    Args:
      picture: RGB.
      listed: the boxes found in it.
    """
    if self._manifest is None or not listed:
      return None
    return scene_builder.make_scene(
      picture,
      listed,
      self._encoder,
      self._manifest.get("num_objects", scene_builder.NUM_OBJECTS),
      self._manifest["thresholds"]["object"],
    )

  def visual_source(self, aligned: bool) -> str:
    """Returns where regions come from, see `data.scenes.fallbacks`.

    Args:
      aligned: whether the model reads the objects' and the words' graphs.
    """
    if self._manifest is None:
      return fallbacks.NOTHING
    if not aligned:
      return fallbacks.SCENES
    guessed = [] if self._parser else [fallbacks.CHAIN_GRAPH]
    return ", ".join([fallbacks.SPATIAL_EDGES, *guessed])

  def heads(self, words: Sequence[str]) -> list[int] | None:
    """Returns the governor of each word, None without a parser."""
    if self._parser is None:
      return None
    return next(iter(self._parser.parse([words])))


def _check(manifest: Any, where: str) -> None:
  """Checks what is read of a manifest, which may come from anyone.

  Raises:
    ValueError: for features that other pictures cannot get, or a value of
      another form; names the file.
  """
  path = os.path.join(where, SCENES_FILE)
  if not isinstance(manifest, Mapping):
    raise ValueError(f"{path}: expected a JSON object, got {shown(manifest)}")
  features, thresholds = manifest.get("features"), manifest.get("thresholds")
  kind = features.get("kind") if isinstance(features, Mapping) else features
  if kind not in ("pixels", "encoder"):
    raise ValueError(
      f"{where}: want scenes with features of an encoder, which other"
      f" pictures can get too, found {shown(kind)}"
    )
  named, count = manifest.get("parser"), manifest.get("num_objects", 1)
  fits = {
    "thresholds": isinstance(thresholds, Mapping)
    and is_finite(thresholds.get("object")),
    "parser": isinstance(named, str)
    and (not named.startswith("spacy") or _SPACY.fullmatch(named)),
    "num_objects": type(count) is int and count > 0,
  }
  for key, fit in fits.items():
    if not fit:
      raise ValueError(
        f"{path}: {key}: expected a value that scenes have, got"
        f" {shown(manifest.get(key))}"
      )
