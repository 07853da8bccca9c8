"""Makes the scenes of a tree's pictures, and the heads of its sentences."""

import collections
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.data.formats import registry
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser as parser
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.files import whole
from ifa_jax.preparation import joins
from ifa_jax.preparation.scenes import graphs as scene_graphs

# Why a picture has no scene.
_NO_FILE, _NO_BOXES = "without a file", "without boxes"
_NO_OBJECT = "without an object of that score"
_REASONS = (_NO_FILE, _NO_BOXES, _NO_OBJECT)

_log = logging.getLogger("ifa_jax")


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.scenes`."""

  raw_dir: str = setting("The folder of the dataset (MNRE: DeepKE's data/).")
  out: str = setting("Folder to write, new or empty.")
  boxes: str | None = setting("JSON of boxes by picture.", None)
  scene_graphs: Sequence[str] = setting(
    "Files custom_prediction.json, each next to its custom_data_info.json.", ()
  )
  encoder: str = setting(
    "Source of the features: pixels, a folder of converted weights, or pyramid:"
    " and the file or folder of a ResNet-50, for HVPNeT.",
    "pixels",
  )
  parser: str = setting(
    "Source of the sentences' trees.", "auto", choices=parser.KINDS
  )
  parser_model: str = setting(
    "Name or folder of a spaCy model.", "en_core_web_sm"
  )
  format: str = setting(
    "Format of the dataset.", "mnre", choices=registry.OF_FOLDER
  )
  num_objects: int | None = setting(
    "Maximum objects of a picture; default 36, of a pyramid 3.", None, least=1
  )
  min_score: float = setting(
    "An object is kept if its score is higher.", scene_builder.MIN_SCORE
  )
  on_error: str = setting(
    "An invalid row ends the run, or is left out.",
    "fail",
    choices=("fail", "skip"),
  )


def produce(settings: Settings) -> dict[str, dict[str, int]]:
  """Writes the scenes of all splits; `out` appears complete or not at all.

  Returns:
    Counts by split, as the command shows them.

  Raises:
    ValueError: for anything wrong with the files, or if `out` is not empty.
  """
  skip = settings.on_error == "skip"
  on_error = (lambda error: None) if skip else tree.raise_error
  with whole.folder(settings.out) as partial:
    maker = Maker(settings)
    parse = parser.load(settings.parser, settings.parser_model)
    by_split = {
      split: list(maker.reader.posts(split, None, on_error))
      for split in schema.SPLITS
    }
    maker.check_pictures(itertools.chain(*by_split.values()))
    counts = {}
    for split, rows in by_split.items():
      scenes, counts[split] = _make_split(maker, rows, split)
      heads = parse.parse([row.words for row in rows])
      manifest = maker.manifest() | {
        "parser": parse.name,
        "text": sha256(maker.reader.paths[split]),
        "counts": counts[split],
      }
      by_row = dict(zip((row.id for row in rows), heads, strict=True))
      store.write_split(partial, split, scenes, by_row, manifest, maker.absent)
  return counts


class Maker:
  """Makes the scenes of pictures.

  Attributes:
    absent: features of absent regions, if the encoder has any.
    reader: of the rows.
  """

  def __init__(self, settings: Settings):
    """Opens lists and encoder.

    Raises:
      ValueError: if a file is missing or malformed.
    """
    self._encoder = region_encoder.load(settings.encoder)
    given = bool(settings.boxes) + bool(settings.scene_graphs)
    if self._encoder.with_picture and settings.scene_graphs:
      raise ValueError(
        "expected --boxes or no objects for a pyramid, got --scene_graphs"
      )
    if given != 1 and not self._encoder.with_picture:
      raise ValueError(
        "expected one of --boxes and --scene_graphs, got"
        f" {'both' if given else 'neither'}"
      )
    self._settings = settings
    self.reader = registry.open_folder(settings.format, settings.raw_dir)
    self._found: Mapping[str, Any]
    self._protocol: str | None = None
    self._make: Callable[..., store.Scene]
    if settings.scene_graphs:
      self._files: Sequence[str] = settings.scene_graphs
      self._found = _read_all_graphs(self._files)
      self._make = scene_graphs.make_scene
    else:
      self._files, self._found = [], {}
      self._make = scene_builder.make_scene
      if settings.boxes:
        self._files = [settings.boxes]
        self._found, self._protocol = boxes.read_with_protocol(settings.boxes)
    self.absent = self._encoder.absent()

  def scene(self, row: Row) -> store.Scene | str:
    """Returns the scene of a row's picture, or why it has none.

    Raises:
      ValueError: for a picture that cannot be read or a box outside of it;
        names the picture.
    """
    path = self.reader.pictures.find(row)
    found = self._found.get(row.img_id)
    if path is None:
      return _NO_FILE
    if not found and not self._encoder.with_picture:
      return _NO_BOXES
    try:
      scene = self._make(
        decode.open_picture(path),
        found or (),
        self._encoder,
        self._settings.num_objects,
        self._settings.min_score,
      )
    except ValueError as error:
      raise ValueError(
        f"{row.where}, picture {row.img_id!r}: {error}"
      ) from None
    return scene if scene.num_objects else _NO_OBJECT

  def check_pictures(self, rows: Iterable[Row]) -> None:
    """Logs how many listed pictures match no row.

    Raises:
      ValueError: if none matches.
    """
    if not self._files:
      return
    join = joins.Join.of_pictures(",".join(self._files), self._found)
    for row in rows:
      join.see(row)
    join.report(saw_all=True)

  def manifest(self) -> dict[str, Any]:
    """Returns the part of the manifest that describes the pictures' scenes."""
    settings = self._settings
    thresholds = {"object": settings.min_score}
    if settings.scene_graphs:
      thresholds["relation"] = scene_graphs.MIN_RELATION_SCORE
    # Only runs of this protocol may read the scenes.
    marked = {"protocol": self._protocol} if self._protocol else {}
    return marked | {
      "tool": "data_prep.scenes",
      # The files do not record which model found the boxes.
      "model": None,
      "revision": None,
      "thresholds": thresholds,
      "num_objects": settings.num_objects or self._encoder.num_objects,
      "features": self._encoder.describe(),
      "relations": "detector" if settings.scene_graphs else "spatial",
      "sources": [sha256(path) for path in self._files],
    }


def _make_split(
  maker: Maker, rows: Sequence[Row], split: str
) -> tuple[dict[str, store.Scene], dict[str, int]]:
  """Returns a split's scenes by the picture's file name, and its counts."""
  by_picture = {}
  for row in rows:
    if row.img_id:
      by_picture.setdefault(row.img_id, row)
  scenes, lost = {}, collections.Counter()
  for img_id, row in progress.bar(
    by_picture.items(), f"scenes of {split}", unit=" pictures"
  ):
    made = maker.scene(row)
    if isinstance(made, str):
      lost[made] += 1
    else:
      scenes[img_id] = made
  if lost:
    reasons = [f"{lost[why]} {why}" for why in _REASONS if lost[why]]
    _log.info(
      "%s: no scene of %d pictures (%s)",
      *(split, lost.total(), ", ".join(reasons)),
    )
  return scenes, {
    "rows": len(rows),
    "pictures": len(by_picture),
    "scenes": len(scenes),
    **{reason: lost[reason] for reason in _REASONS},
    "objects": sum(scene.num_objects for scene in scenes.values()),
    "edges": sum(len(scene.edges) for scene in scenes.values()),
  }


def _read_all_graphs(paths: Sequence[str]) -> dict[str, scene_graphs.Graph]:
  """Reads the graphs of several files, which share no picture."""
  graphs = {}
  for path in paths:
    found = scene_graphs.read_graphs(path)
    if twice := sorted(graphs.keys() & found.keys()):
      raise ValueError(
        f"{path}: expected each picture in one file, got {twice[0]!r} in"
        " another file as well"
      )
    graphs |= found
  return graphs
