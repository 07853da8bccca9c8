"""What each row becomes, before a pixel is read.

Everything that can be wrong without opening a picture is found here, in
seconds, so that hours of work do not end at a typing error in the last line.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from ifa_jax.data.images import boxes
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.crops import Crop
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.data.text.tokenizer import Encoded, Tokenizer
from ifa_jax.preparation import joins


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.mnre`; sizes in pixels.

  Attributes:
    raw_dir: a tree as published.
    data_dir: where datasets are written.
    protocol: where grounded crops come from: released, clean or none.
    boxes: a boxes file, or None.
    tokenizer: folder or hub id.
    missing_pixels: what a picture or crop without a file becomes: error,
      absent (left out) or grey (constant).
    on_error: what a bad row does: fail, or skip.
    limit: rows to read of each split, None for all.
    image_size: side of the whole picture.
    patch_size: side of a patch; crops are 4 and 2 patches wide.
    text_len: the most tokens of a text.
    num_crops: the most crops of a kind.
    num_workers: processes that draw, 0 for one on each core.
    overwrite: whether to replace a dataset of other settings.
  """

  raw_dir: str
  data_dir: str
  protocol: str
  boxes: str | None = None
  tokenizer: str = "bert-base-uncased"
  missing_pixels: str = "error"
  on_error: str = "fail"
  limit: int | None = None
  image_size: int = 224
  patch_size: int = 32
  text_len: int = 80
  num_crops: int = 3
  num_workers: int = 0
  overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
  """A row, its ids, and where its squares come from.

  Attributes:
    row: the line of the text file.
    encoded: its ids.
    num_unknown: words that the tokenizer does not know, whole or in part.
    picture: path of the picture, None without a file.
    squares: for each of image, grounded and detected the crops to draw, as a
      record has them; None stands for constant grey. The whole picture is a
      crop with a path.
    num_grounded: crops that the source lists, before num_crops.
    num_detected: likewise.
    missing: paths in the tree that should be files and are none.
  """

  row: Row
  encoded: Encoded
  num_unknown: int
  picture: str | None
  squares: dict[str, tuple[Crop | None, ...]]
  num_grounded: int
  num_detected: int
  missing: tuple[str, ...]


class Planner:
  """Everything but the pixels of a tree, opened and checked.

  Attributes:
    settings: what was asked for.
    relations: names in the order of their ids.
    tokenizer: for `Encoded`, and to be saved beside the records.
    sources: paths of every list and text that rows depend on.
  """

  def __init__(self, settings: Settings):
    """Opens the lists of a tree.

    Raises:
      ValueError: if something is not there or not of its form.
    """
    if not os.path.isdir(settings.raw_dir):
      raise ValueError(f"--raw_dir={settings.raw_dir}: there is no such folder")
    self.settings = settings
    self.relations = tree.read_relations(settings.raw_dir)
    listed = boxes.read_boxes(settings.boxes) if settings.boxes else None
    self._crops = crops.Crops(settings.raw_dir, settings.protocol, listed)
    self._joins = self._make_joins(listed or {})
    self._has_file: dict[str, bool] = {}
    self._pictures = crops.Pictures(settings.raw_dir)
    self.tokenizer = Tokenizer.load(settings.tokenizer)
    relations = tree.relations_path(settings.raw_dir)
    self.sources = [
      *tree.text_paths(settings.raw_dir),
      *([relations] if relations else []),
      *self._crops.files,
    ]

  def plans(
    self,
    split: str,
    on_error: Callable[[RowError], None] = tree.raise_error,
  ) -> Iterator[Plan]:
    """Yields a plan for each row of a split, in file order.

    Args:
      split: train, val or test.
      on_error: what to do about a bad row; if it returns, the row is dropped.

    Raises:
      RowError: for a bad row, unless `on_error` is another.
    """
    settings = self.settings
    rows = tree.read_rows(
      settings.raw_dir, split, self.relations, settings.limit, on_error
    )
    for row in rows:
      try:
        plan = self._plan(row)
      except RowError as error:
        on_error(error)
      else:
        yield plan

  def tell_joins(self) -> None:
    """Logs what rows found of pictures and boxes; call it after all plans.

    Raises:
      ValueError: for a boxes file of which nothing belongs to a row.
    """
    joins.tell_pictures(self.settings.raw_dir, self._has_file)
    for join in self._joins:
      join.tell(of_all=self.settings.limit is None)

  def _make_joins(
    self, listed: Mapping[str, Sequence[boxes.Box]]
  ) -> list[joins.Join]:
    """Returns what counts the boxes that no row has."""
    path = self.settings.boxes
    if path is None:
      return []
    found = [joins.Join.of_pictures(path, listed)]
    if self.settings.protocol == "clean":
      found.append(joins.Join.of_phrases(path, listed))
    return found

  def _plan(self, row: Row) -> Plan:
    """Finds out what a row becomes."""
    settings = self.settings
    for join in self._joins:
      join.see(row)
    picture = self._pictures.find(row)
    self._has_file[row.img_id] = picture is not None
    wanted_path = os.path.join(
      settings.raw_dir, "img_org", row.split, row.img_id
    )
    listed = {
      "image": [Crop(picture or wanted_path, None, row.img_id)],
      "grounded": self._crops.grounded(row),
      "detected": self._crops.detected(row),
    }
    squares, missing = {}, []
    for kind, crops_listed in listed.items():
      wanted = crops_listed[: settings.num_crops if kind != "image" else 1]
      there = [_is_there(crop, picture) for crop in wanted]
      pairs = list(zip(wanted, there, strict=True))
      missing += [crop.path for crop, found in pairs if crop.path and not found]
      drawn = tuple(crop if found else None for crop, found in pairs)
      if settings.missing_pixels == "absent":
        drawn = tuple(crop for crop in drawn if crop)
      squares[kind] = drawn
    missing = [os.path.relpath(path, settings.raw_dir) for path in missing]
    if missing and settings.missing_pixels == "error":
      self._refuse_missing(row, missing[0])
    encoded = self._encode(row)
    return Plan(
      row=row,
      encoded=encoded,
      num_unknown=self.tokenizer.num_unknown(encoded),
      picture=picture,
      squares=squares,
      num_grounded=len(listed["grounded"]),
      num_detected=len(listed["detected"]),
      missing=tuple(missing),
    )

  def _refuse_missing(self, row: Row, path: str) -> None:
    """Drops a row that lacks pixels; where rows fail, the survey lists all."""
    if self.settings.on_error == "skip":
      raise RowError(row.where, "missing pixels", f"there is no file {path}")

  def _encode(self, row: Row) -> Encoded:
    """Returns a row's ids."""
    try:
      return self.tokenizer.encode(
        row.words, row.head, row.tail, self.settings.text_len
      )
    except ValueError as error:
      raise RowError(row.where, "text too long", str(error)) from None


def _is_there(crop: Crop, picture: str | None) -> bool:
  """Tells whether a crop's file is there, or the picture it is a box of."""
  return picture is not None if crop.path is None else os.path.isfile(crop.path)
