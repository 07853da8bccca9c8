"""Scenes of posts of one's own, made as those that a run was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from ifa_jax import parser
from ifa_jax.data import region_sources
from ifa_jax.data.boxes import Box
from ifa_jax.data.scenes import Scene
from ifa_jax.objects import region_encoder, scene_maker


class PostScenes:
  """Makes scenes after the manifest of a run's training scenes."""

  def __init__(self, manifest: Mapping[str, Any] | None, where: str):
    """Loads the encoder of objects and the parser that the manifest names.

    Args:
      manifest: of `ifa_jax.data.scenes`, or None for a run without scenes, in
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
    features = manifest["features"] or {"kind": None}
    if features["kind"] not in ("pixels", "encoder"):
      raise ValueError(
        f"{where}: want scenes with features of an encoder, which other"
        f" pictures can get too, found {features['kind']!r}"
      )
    source = region_encoder.find(features, where)
    self._encoder = region_encoder.load(source)
    found = self._encoder.describe()
    # A shared model brings a copy; the other keys are the same.
    if found | {"folder": None} != features | {"folder": None}:
      raise ValueError(
        f"{source}: want the encoder of the run's scenes {features}, found"
        f" {found}"
      )
    if manifest["parser"].startswith("spacy"):
      self._parser = parser.load("spacy", manifest["parser"].split()[-2])

  def scene(self, picture: Image.Image, listed: Sequence[Box]) -> Scene | None:
    """Returns a picture's objects.

    Args:
      picture: RGB.
      listed: the boxes found in it.
    """
    if self._manifest is None or not listed:
      return None
    return scene_maker.make_scene(
      picture,
      listed,
      self._encoder,
      self._manifest.get("num_objects", scene_maker.NUM_OBJECTS),
      self._manifest["thresholds"]["object"],
    )

  def visual_source(self, aligned: bool) -> str:
    """Returns where regions come from, see `data.region_sources`.

    Args:
      aligned: whether the model reads the objects' and the words' graphs.
    """
    if self._manifest is None:
      return region_sources.NOTHING
    if not aligned:
      return region_sources.SCENES
    guessed = [] if self._parser else [region_sources.CHAIN_GRAPH]
    return ", ".join([region_sources.SPATIAL_EDGES, *guessed])

  def heads(self, words: Sequence[str]) -> list[int] | None:
    """Returns the governor of each word, None without a parser."""
    if self._parser is None:
      return None
    return next(iter(self._parser.parse([words])))
