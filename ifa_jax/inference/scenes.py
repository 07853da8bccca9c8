"""Scenes of your own posts, made like those of the training data."""

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
from ifa_jax.inference.sharing import record
from ifa_jax.workdir.run_folder import SCENES_FILE

# As `dependency_parser.Spacy` names itself. spaCy imports a package, or reads a
# folder, by name, so a name in a shared model must look like that of a model.
_SPACY = re.compile(r"spacy [^,]+, ([a-z]{2,3}_\w+) \S+", re.ASCII)


class PostScenes:
  """Makes scenes by the manifest of the training scenes."""

  def __init__(self, manifest: Mapping[str, Any] | None, where: str):
    """Loads the region encoder and the parser that the manifest names.

    Args:
      manifest: of `data.scenes.store`, or None for a run without scenes, whose
        posts have no objects.
      where: the run folder, for errors.

    Raises:
      ValueError: for a malformed manifest, features that cannot be computed
        for other pictures, or a parser that is not installed.
    """
    self._manifest = self._parser = None
    if manifest is None:
      return
    if isinstance(manifest, Mapping):
      manifest = {"num_objects": region_encoder.NUM_OBJECTS, **manifest}
    path = os.path.join(where, SCENES_FILE)
    record.check(manifest, _EXPECTED, path, may_have_more=True)
    self._manifest, features = manifest, manifest["features"]
    source = region_encoder.find(features, where)
    self._encoder = region_encoder.load(source)
    found = self._encoder.describe()
    # A shared model brings a copy; the other keys are the same.
    if found | {"folder": None} != features | {"folder": None}:
      raise ValueError(
        f"{source}: expected the encoder of the run's scenes {features}, got"
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
    if self._manifest is None:
      return None
    if not listed and not self._encoder.with_picture:
      return None
    return scene_builder.make_scene(
      picture,
      listed,
      self._encoder,
      self._manifest["num_objects"],
      self._manifest["thresholds"]["object"],
    )

  def visual_source(self, aligned: bool) -> str:
    """Returns the sources of regions, see `data.scenes.fallbacks`.

    Args:
      aligned: whether the model reads the graphs of objects and words.
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


def _is_of_encoder(features: Any) -> bool:
  kind = features.get("kind") if isinstance(features, Mapping) else None
  return kind in ("pixels", "geometry", "encoder", "pyramid")


# The parts of a manifest that are read; it may come from anyone.
_EXPECTED: record.Expected = {
  "features": (
    "those of an encoder, which can be computed for other pictures",
    _is_of_encoder,
  ),
  "thresholds": (
    "an object with a number as 'object'",
    lambda value: isinstance(value, Mapping) and is_finite(value.get("object")),
  ),
  "parser": (
    "the name of a parser, with a model of spaCy if it is one",
    lambda value: (
      isinstance(value, str)
      and (not value.startswith("spacy") or _SPACY.fullmatch(value) is not None)
    ),
  ),
  "num_objects": ("a number of objects", record.is_count),
}
