"""Plans the record of each row, before any picture is decoded.

Everything that can be wrong without decoding a picture is found here in
seconds, so that hours of work do not end at a typing error in the last line.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

from ifa_jax.cli.settings_flags import setting
from ifa_jax.data import schema
from ifa_jax.data.formats import registry
from ifa_jax.data.images import boxes
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.captions import Captions
from ifa_jax.data.mnre.crops import Crop
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.data.text.encoded import Caption, Encoded
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models.config import RESIZES
from ifa_jax.preparation import joins


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.mnre`."""

  raw_dir: str = setting("The folder of the dataset (MNRE: DeepKE's data/).")
  data_dir: str = setting("Folder for prepared datasets.")
  protocol: str = setting(
    "Source of the grounded crops.", choices=schema.PROTOCOLS
  )
  format: str = setting(
    "Format of the dataset.", "mnre", choices=registry.FORMATS
  )
  train_files: Sequence[str] = setting("fewrel: files of train.", ())
  val_files: Sequence[str] = setting("fewrel: files of val.", ())
  test_files: Sequence[str] = setting("fewrel: files of test.", ())
  split: Sequence[int] = setting(
    "fewrel: percents of the rows of --train_files for train, val and test,"
    " e.g. 80,10,10, in place of the other two.",
    (),
  )
  boxes: str | None = setting(
    "JSON of boxes by picture: detected crops and, for clean, grounded ones.",
    None,
  )
  captions: Sequence[str] = setting(
    "Files of captions by picture, for models that read them.", ()
  )
  tokenizer: str = setting("WordPiece folder or hub id.", "bert-base-uncased")
  missing_pixels: str = setting(
    "A picture or crop without a file is an error, left out, or grey.",
    "error",
    choices=("error", "absent", "grey"),
  )
  on_error: str = setting(
    "An invalid row ends the run, or is dropped and listed in skipped.jsonl.",
    "fail",
    choices=("fail", "skip"),
  )
  limit: int | None = setting("Rows to read of each split.", None, least=1)
  image_size: int = setting(
    "Side of the whole picture in pixels.", 224, least=1
  )
  patch_size: int = setting(
    "Side of a patch in pixels; crops are 4 and 2 patches wide.", 32, least=1
  )
  resize: str = setting(
    "How pictures and crops become squares: the shorter side is resized and"
    " the centre kept, as for CLIP, or they are squashed, as for ViT.",
    "fit",
    choices=RESIZES,
  )
  text_len: int = setting("Maximum tokens of a text.", 80, least=8)
  caption_len: int = setting("Maximum tokens of a caption.", 64, least=3)
  num_crops: int = setting("Maximum crops of each kind.", 3, least=0)
  num_workers: int = setting(
    "Processes that decode and resize; 0 for one per core.", 0, least=0
  )
  overwrite: bool = setting("Replace a dataset with other settings.", False)


@dataclasses.dataclass(frozen=True)
class Plan:
  """A row, its token ids, and the sources of its squares.

  Attributes:
    row: the line of the text file.
    encoded: its token ids.
    caption: of its picture.
    num_unknown: words that contain an [UNK].
    picture: path of the picture, None without a file.
    squares: kind -> crops to draw, in the order of the record; None is grey.
      The whole picture is a crop with a path.
    num_grounded: crops that the source lists, before num_crops.
    num_detected: likewise.
    missing: paths in the tree that should be files and are not.
  """

  row: Row
  encoded: Encoded
  caption: Caption
  num_unknown: int
  picture: str | None
  squares: dict[str, tuple[Crop | None, ...]]
  num_grounded: int
  num_detected: int
  missing: tuple[str, ...]


class Planner:
  """A tree with everything but its pixels opened and checked.

  Attributes:
    settings: as given.
    reader: of the rows.
    relations: names in the order of their ids.
    tokenizer: that of the texts.
    sources: paths of all lists and texts that rows depend on.
  """

  def __init__(self, settings: Settings):
    """Opens the lists of a tree.

    Raises:
      ValueError: if a file is missing or malformed.
    """
    self.settings = settings
    self.reader = registry.open_reader(
      settings.format,
      settings.raw_dir,
      {x: getattr(settings, f"{x}_files") for x in schema.SPLITS},
      settings.split,
    )
    if settings.protocol not in self.reader.protocols:
      raise ValueError(
        f"--protocol: expected {' or '.join(self.reader.protocols)} with"
        f" --format={settings.format}, got {settings.protocol}"
      )
    if settings.image_size % settings.patch_size:
      raise ValueError(
        f"--image_size: expected a multiple of --patch_size"
        f" {settings.patch_size}, got {settings.image_size}"
      )
    self.relations = self.reader.relations
    self._joins: list[joins.Join] = []
    listed = self._read_boxes()
    self._captions = Captions(settings.captions)
    if settings.captions:
      path, pictures = ", ".join(settings.captions), self._captions.pictures
      self._joins.append(joins.Join.of_pictures(path, pictures))
    self._crops = crops.Crops(
      settings.raw_dir, settings.protocol, listed, settings.limit
    )
    self._pictures = self.reader.pictures
    self._has_file: dict[str, bool] = {}
    self.tokenizer = Tokenizer.load(settings.tokenizer)
    self.sources = [*self.reader.files, *self._crops.files]

  def _read_boxes(self) -> dict[str, list[boxes.Box]] | None:
    """Returns the boxes of a file, or those of the rows; None without any."""
    path, of_rows = self.settings.boxes, self.reader.boxes
    if path and of_rows:
      raise ValueError(
        f"--boxes: expected none, as the rows have boxes, got {path}"
      )
    if not path and not of_rows:
      return None
    listed = boxes.read_boxes(path) if path else of_rows
    where = path or self.settings.raw_dir
    self._joins.append(joins.Join.of_pictures(where, listed))
    if self.settings.protocol == "clean":
      self._joins.append(joins.Join.of_phrases(where, listed))
    return listed

  def plans(
    self, split: str, on_error: Callable[[RowError], None] = tree.raise_error
  ) -> Iterator[Plan]:
    """Yields a plan for each row of a split, in file order.

    Args:
      split: train, val or test.
      on_error: called for an invalid row; if it returns, the row is dropped.
    """
    for row in self.reader.rows(split, self.settings.limit, on_error):
      try:
        plan = self._plan(row)
      except RowError as error:
        on_error(error)
      else:
        yield plan

  def report_joins(self) -> None:
    """Logs which pictures and boxes were matched; call it after all plans.

    Raises:
      ValueError: for a boxes file of which nothing matches a row.
    """
    if self._has_file:
      joins.log_pictures(self._pictures.folder, self._has_file)
    for join in self._joins:
      join.report(saw_all=self.settings.limit is None)

  def _plan(self, row: Row) -> Plan:
    settings = self.settings
    for join in self._joins:
      join.see(row)
    picture, image = None, []
    if row.img_id:
      picture = self._pictures.find(row)
      self._has_file[row.img_id] = picture is not None
      expected = self._pictures.expected(row)
      image = [Crop(picture or expected, None, row.img_id)]
    listed = {
      "image": image,
      "grounded": self._crops.grounded(row),
      "detected": self._crops.detected(row),
    }
    squares, missing = {}, []
    for kind, candidates in listed.items():
      kept = []
      for crop in candidates[: 1 if kind == "image" else settings.num_crops]:
        # A box has no file of its own: it is cut from the picture.
        if os.path.isfile(crop.path) if crop.path else picture:
          kept.append(crop)
          continue
        if crop.path:
          missing.append(os.path.relpath(crop.path, settings.raw_dir))
        if settings.missing_pixels != "absent":
          kept.append(None)
      squares[kind] = tuple(kept)
    # Where rows are not skipped, the survey lists all missing files.
    is_error = settings.missing_pixels == "error"
    if missing and is_error and settings.on_error == "skip":
      raise RowError(
        row.where, "missing pixels", f"there is no file {missing[0]}"
      )
    try:
      encoded = self.tokenizer.encode(
        row.words, row.head, row.tail, settings.text_len
      )
    except ValueError as error:
      raise RowError(row.where, "text too long", str(error)) from None
    return Plan(
      row=row,
      encoded=encoded,
      caption=self.tokenizer.encode_caption(
        self._captions.find(row), settings.caption_len
      ),
      num_unknown=self.tokenizer.num_unknown(encoded),
      picture=picture,
      squares=squares,
      num_grounded=len(listed["grounded"]),
      num_detected=len(listed["detected"]),
      missing=tuple(missing),
    )
