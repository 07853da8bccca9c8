"""The scenes of every picture of a tree, and the heads of every sentence."""

import collections
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ifa_jax.cli import progress
from ifa_jax.convert import sources
from ifa_jax.data import schema
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser as parser
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.files import whole
from ifa_jax.preparation import joins
from ifa_jax.preparation.scenes import graphs as scene_graphs

# Why a picture has no scene.
NO_FILE, NO_BOXES = "without a file", "without boxes"
NO_OBJECT = "without an object of that score"
REASONS = (NO_FILE, NO_BOXES, NO_OBJECT)

_log = logging.getLogger("ifa_jax")


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.scenes`.

  Attributes:
    raw_dir: a tree as published.
    out: the folder to write, new or empty.
    boxes: a boxes file, or None.
    scene_graphs: files custom_prediction.json, in place of boxes.
    encoder: "pixels" or a folder of converted weights.
    parser: auto, spacy or chain.
    parser_model: name or folder of spaCy's model.
    num_objects: the most objects of a picture.
    min_score: what an object's score must exceed.
    on_error: what a bad row does: fail, or skip.
  """

  raw_dir: str
  out: str
  boxes: str | None = None
  scene_graphs: Sequence[str] = ()
  encoder: str = "pixels"
  parser: str = "auto"
  parser_model: str = "en_core_web_sm"
  num_objects: int = scene_builder.NUM_OBJECTS
  min_score: float = scene_builder.MIN_SCORE
  on_error: str = "fail"


class Maker:
  """Makes the scene of each picture, once.

  Attributes:
    reasons: picture's file name -> why it has no scene.
  """

  def __init__(self, settings: Settings):
    """Opens lists and encoder.

    Raises:
      ValueError: if something is not there or not of its form.
    """
    if bool(settings.boxes) == bool(settings.scene_graphs):
      raise ValueError("want one of --boxes and --scene_graphs")
    if not os.path.isdir(settings.raw_dir):
      raise ValueError(f"--raw_dir={settings.raw_dir}: there is no such folder")
    self._settings = settings
    self._pictures = crops.Pictures(settings.raw_dir)
    self._found: Mapping[str, Any]
    self._make: Callable[..., store.Scene]
    if settings.boxes:
      self._found = boxes.read_boxes(settings.boxes)
      self._make = scene_builder.make_scene
    else:
      self._found = _read_all_graphs(settings.scene_graphs)
      self._make = scene_graphs.make_scene
    self._encoder = region_encoder.load(settings.encoder)
    self._made: dict[str, store.Scene] = {}
    self.reasons: dict[str, str] = {}

  def scene(self, row: Row) -> store.Scene | None:
    """Returns the scene of a row's picture, None if there is none.

    Raises:
      ValueError: for a picture that cannot be read or a box that holds nothing
        of it; names the picture.
    """
    img_id = row.img_id
    if img_id not in self._made and img_id not in self.reasons:
      made = self._make_new(row)
      if isinstance(made, str):
        self.reasons[img_id] = made
      else:
        self._made[img_id] = made
    return self._made.get(img_id)

  def check_pictures(self, rows: Iterable[Row]) -> None:
    """Logs how many listed pictures belong to no row.

    Raises:
      ValueError: if none does.
    """
    settings = self._settings
    files = settings.boxes or ",".join(settings.scene_graphs)
    join = joins.Join.of_pictures(files, self._found)
    for row in rows:
      join.see(row)
    join.tell(of_all=True)

  def manifest(self) -> dict[str, Any]:
    """Returns how scenes are made, as far as pictures go."""
    settings = self._settings
    thresholds = {"object": settings.min_score}
    if settings.scene_graphs:
      thresholds["relation"] = scene_graphs.MIN_RELATION_SCORE
    files = [settings.boxes] if settings.boxes else settings.scene_graphs
    return {
      "tool": "data_prep.scenes",
      # What found the boxes is not told by the files that list them.
      "model": None,
      "revision": None,
      "thresholds": thresholds,
      "num_objects": settings.num_objects,
      "features": self._encoder.describe(),
      "relations": "spatial" if settings.boxes else "detector",
      "sources": [sources.sha256(path) for path in files],
    }

  def _make_new(self, row: Row) -> store.Scene | str:
    """Returns a scene, or why there is none."""
    path, found = self._pictures.find(row), self._found.get(row.img_id)
    if path is None or not found:
      return NO_FILE if path is None else NO_BOXES
    settings = self._settings
    try:
      made = self._make(
        decode.open_picture(path),
        found,
        self._encoder,
        settings.num_objects,
        settings.min_score,
      )
    except ValueError as error:
      raise ValueError(
        f"{row.where}, picture {row.img_id!r}: {error}"
      ) from None
    return made if made.num_objects else NO_OBJECT


def produce(settings: Settings) -> dict[str, dict[str, int]]:
  """Writes the scenes of all splits; `out` appears whole or not at all.

  Returns:
    Counts by split, as the command shows them.

  Raises:
    ValueError: for anything wrong with the files, or if `out` holds something.
  """
  with whole.folder(settings.out) as partial:
    maker = Maker(settings)
    parse = parser.load(settings.parser, settings.parser_model)
    counts = {}
    by_split = {split: _read_rows(settings, split) for split in schema.SPLITS}
    maker.check_pictures(itertools.chain(*by_split.values()))
    for split, rows in by_split.items():
      found = _make_scenes(maker, rows, split)
      counts[split] = _count(maker, rows, found)
      _log_lost(split, counts[split])
      heads = parse.parse([row.words for row in rows])
      manifest = maker.manifest() | {
        "parser": parse.name,
        "text": sources.sha256(tree.text_path(settings.raw_dir, split)),
        "counts": counts[split],
      }
      by_row = dict(zip((row.id for row in rows), heads, strict=True))
      store.write_split(partial, split, found, by_row, manifest)
  return counts


def _read_rows(settings: Settings, split: str) -> list[Row]:
  """Returns the rows of a split that can be read."""
  skip = settings.on_error == "skip"
  on_error = (lambda error: None) if skip else tree.raise_error
  return list(tree.read_rows(settings.raw_dir, split, None, None, on_error))


def _make_scenes(
  maker: Maker, rows: Sequence[Row], split: str
) -> dict[str, store.Scene]:
  """Returns the scenes of a split by the picture's file name."""
  by_picture = {}
  for row in rows:
    by_picture.setdefault(row.img_id, row)
  made = {
    img_id: maker.scene(row)
    for img_id, row in progress.bar(
      by_picture.items(), f"scenes of {split}", unit=" pictures"
    )
  }
  return {img_id: scene for img_id, scene in made.items() if scene is not None}


def _read_all_graphs(paths: Sequence[str]) -> dict[str, scene_graphs.Graph]:
  """Reads the graphs of several files, which share no picture."""
  graphs = {}
  for path in paths:
    found = scene_graphs.read_graphs(path)
    twice = sorted(graphs.keys() & found.keys())
    if twice:
      raise ValueError(f"{path}: {twice[0]!r} is in another file as well")
    graphs |= found
  return graphs


def _count(
  maker: Maker, rows: Sequence[Row], found: Mapping[str, store.Scene]
) -> dict[str, int]:
  """Returns what a split has."""
  names = {row.img_id for row in rows}
  lost = collections.Counter(
    maker.reasons[name] for name in names if name in maker.reasons
  )
  return {
    "rows": len(rows),
    "pictures": len(names),
    "scenes": len(found),
    **{reason: lost[reason] for reason in REASONS},
    "objects": sum(scene.num_objects for scene in found.values()),
    "edges": sum(len(scene.edges) for scene in found.values()),
  }


def _log_lost(split: str, counts: Mapping[str, int]) -> None:
  """Logs how many pictures have no scene, if any."""
  lost = [f"{counts[reason]} {reason}" for reason in REASONS if counts[reason]]
  if lost:
    _log.info(
      "%s: no scene of %d pictures (%s)",
      split,
      counts["pictures"] - counts["scenes"],
      ", ".join(lost),
    )
