"""Makes the scene of a picture."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert.sources import sha256
from ifa_jax.data.formats import registry
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.text import dependency_parser as parser
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.detection.region_encoder import Geometry
from ifa_jax.preparation import joins
from ifa_jax.preparation.scenes import graphs as scene_graphs

# Why a picture has no scene.
NO_FILE, NO_BOXES = "without a file", "without boxes"
NO_OBJECT = "without an object of that score"
# Of a picture that is skipped.
UNREADABLE = "unreadable"
REASONS = (NO_FILE, NO_BOXES, NO_OBJECT, UNREADABLE)


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
    "Source of the features: pixels, geometry, a folder of converted weights,"
    " or pyramid: and the file or folder of a ResNet-50, for HVPNeT.",
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
    "An invalid row or picture ends the run, or is left out.",
    "fail",
    choices=("fail", "skip"),
  )


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
    if self._encoder.with_picture and settings.scene_graphs:
      raise ValueError(
        "expected --boxes or no objects for a pyramid, got --scene_graphs"
      )
    if settings.boxes and settings.scene_graphs:
      raise ValueError("expected one of --boxes and --scene_graphs, got both")
    self._settings = settings
    self.reader = registry.open_folder(settings.format, settings.raw_dir)
    self._found: Mapping[str, Any]
    self._listed = boxes.BoxesFile({}, None, boxes.PIXEL)
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
        self._listed = boxes.read_file(settings.boxes)
        self._found = self._listed.boxes
    self.absent = self._encoder.absent()

  def scene(self, row: Row) -> store.Scene | str:
    """Returns the scene of a row's picture, or why it has none.

    Raises:
      ValueError: for a picture that cannot be read or found without doubt, or
        a box outside of it; names the picture.
    """
    path = None if self.needs_no_file else self.reader.pictures.find(row)
    if path is None and not self.needs_no_file:
      return NO_FILE
    if not self._found.get(row.img_id) and not self._encoder.with_picture:
      return NO_BOXES
    try:
      picture = decode.open_picture(path) if path else Geometry.size
      scene = self._make(
        picture,
        self._in_pixels(row.img_id, picture),
        self._encoder,
        self._settings.num_objects,
        self._settings.min_score,
      )
    except ValueError as error:
      raise ValueError(
        f"{row.where}, picture {row.img_id!r}: {error}"
      ) from None
    return scene if scene.num_objects else NO_OBJECT

  def _in_pixels(self, name: str, picture: scene_builder.Picture) -> Any:
    """Returns a picture's boxes in pixels, or its graph, as `_make` reads."""
    if self._settings.scene_graphs:
      return self._found[name]
    return self._listed.in_pixels(name, scene_builder.size_of(picture))

  @property
  def needs_no_file(self) -> bool:
    """Whether neither pixels nor the size of a picture are read."""
    in_fractions = self._listed.unit == boxes.FRACTION
    return in_fractions and isinstance(self._encoder, Geometry)

  def find_objects(self, rows: Iterable[Row]) -> None:
    """Takes the objects of all rows, or matches those of the files.

    Logs how many pictures of the files match no row.

    Args:
      rows: all that `reader` has given.

    Raises:
      ValueError: if no picture matches, and unless there is one list of
        objects, or none for a pyramid.
    """
    if self.reader.boxes:
      self._take_objects_of_rows()
      return
    if not self._files and not self._encoder.with_picture:
      raise ValueError(
        "expected --boxes, --scene_graphs or rows with boxes, got none of them"
      )
    if not self._files:
      return
    join = joins.Join.of_pictures(",".join(self._files), self._found)
    for row in rows:
      join.see(row)
    join.report(saw_all=True)

  def _take_objects_of_rows(self) -> None:
    """Takes the boxes of the rows; raises ValueError for other ones."""
    if self._files:
      flag = "--scene_graphs" if self._settings.scene_graphs else "--boxes"
      raise ValueError(
        f"{flag}: expected none, as the rows have boxes, got"
        f" {','.join(self._files)}"
      )
    self._files = self.reader.files
    found = {name: _distinct(x) for name, x in self.reader.boxes.items()}
    self._found = found
    self._listed = boxes.BoxesFile(found, None, boxes.PIXEL)

  def manifest(self) -> dict[str, Any]:
    """Returns the part of the manifest that describes the pictures' scenes."""
    settings = self._settings
    thresholds = {"object": settings.min_score}
    if settings.scene_graphs:
      thresholds["relation"] = scene_graphs.MIN_RELATION_SCORE
    # Only runs of this protocol may read the scenes.
    protocol = self._listed.protocol
    marked = {"protocol": protocol} if protocol else {}
    return marked | {
      "tool": store.OWN_TOOL,
      # The files do not record which model found the boxes.
      "model": None,
      "revision": None,
      "thresholds": thresholds,
      "num_objects": settings.num_objects or self._encoder.num_objects,
      "features": self._encoder.describe(),
      "relations": "detector" if settings.scene_graphs else "spatial",
      "sources": [sha256(path) for path in self._files],
    }


def _distinct(listed: Sequence[boxes.Box]) -> list[boxes.Box]:
  """Returns the first box of each index, in their order.

  MORE and UMRE list each object twice, the second time with a phrase.
  """
  found: dict[int, boxes.Box] = {}
  for box in listed:
    found.setdefault(box.index, box)
  return [*found.values()]


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
