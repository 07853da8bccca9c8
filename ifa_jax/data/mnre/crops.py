"""The pixels of a row: its picture and its crops.

The grounded crops depend on the protocol. `released`: the published dictionary,
whose queries were built from the gold relation. `clean`: boxes found for the
two entity names, the best box of each first. `none`: none. Detected crops and
the picture depend only on the picture's name.
"""

import filecmp
import os
from typing import Any, NamedTuple

from ifa_jax.data import schema
from ifa_jax.data.images import boxes as box_lists
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import torch_file
from ifa_jax.files.shown import shown

# DeepKE calls val "dev" in some names, and MORE "valid".
_SPLIT_NAMES = {
  "train": ["train"],
  "val": ["val", "dev", "valid"],
  "test": ["test"],
}


class Crop(NamedTuple):
  """One crop: a file, or a box in the row's picture.

  Attributes:
    path: path of the file, which may be missing; None for a box.
    edges: (x0, y0, x1, y1) in the picture's pixels; None for a file.
    origin: the list that names it, for errors.
  """

  path: str | None
  edges: tuple[float, float, float, float] | None
  origin: str


class Crops:
  """The crops that a tree, or a boxes file, lists for each row.

  Attributes:
    files: paths of the lists read from the tree.
  """

  def __init__(
    self,
    raw_dir: str,
    protocol: str,
    boxes: dict[str, list[box_lists.Box]] | None = None,
    limit: int | None = None,
  ):
    """Reads the lists that a protocol needs.

    Args:
      raw_dir: a tree as published.
      protocol: released, clean or none.
      boxes: of `box_lists.read_boxes`; replaces the tree's detected crops.
      limit: rows that are read of each split, None for all.

    Raises:
      ValueError: if a list is missing or malformed, or if all rows are read and
        a released list has more or fewer entries than the text has lines.
    """
    if protocol == "clean" and boxes is None:
      raise ValueError(
        "protocol clean cuts its grounded crops from boxes found for the entity"
        " names; give them by --boxes (data_prep.objects makes them)"
      )
    self._raw_dir = raw_dir
    self._protocol = protocol
    self._boxes: Any = boxes  # Not None for the protocol clean.
    self.files: list[str] = []
    self._grounded = self._detected = {}
    if protocol == "released":
      self._grounded = self._load("txt/mre_{0}_dict.pth", int)
      for split in schema.SPLITS:
        if split not in self._grounded:
          raise ValueError(
            f"{raw_dir}: protocol released needs txt/mre_{split}_dict.pth"
          )
        if limit is None:
          self._check_number(split)
    if boxes is None:
      self._detected = self._load("img_detect/{0}/{0}_img2crop.pth", str)

  def grounded(self, row: Row) -> list[Crop]:
    """Returns every grounded crop of a row, the most important ones first.

    `released` keeps the dictionary's order, `clean` that of
    `box_lists.grounded`.

    Raises:
      RowError: if the released dictionary has no entry for the row, or a name
        in it leaves the data folder.
    """
    if self._protocol == "released":
      return self._released(row)
    if self._protocol == "clean":
      listed = self._boxes.get(row.img_id, [])
      found = box_lists.grounded(listed, row.head_name, row.tail_name)
      return [_cut(row, box) for box in found]
    return []

  def detected(self, row: Row) -> list[Crop]:
    """Returns every detected crop of a row's picture.

    Raises:
      RowError: if a path leaves the data folder.
    """
    if self._boxes is not None:
      found = box_lists.detected(self._boxes.get(row.img_id, []))
      return [_cut(row, box) for box in found]
    stem = os.path.splitext(row.img_id)[0]
    # A tree without detected crops has no list.
    file, crops = self._detected.get(row.split, ("", {}))
    return [self._inside(row, file, path) for path in crops.get(stem, [])]

  def _released(self, row: Row) -> list[Crop]:
    file, crops = self._grounded[row.split]
    # The dictionary counts lines from 0.
    if row.line - 1 not in crops:
      raise RowError(
        row.where, "no crop list", f"{file} has no entry {row.line - 1}"
      )
    names = crops[row.line - 1]
    for name in names:
      rows.check_bare_name(row.where, "crop name", name)
    folder = self._first("img_vg/{0}/crops", row.split) or os.path.join(
      self._raw_dir, "img_vg", row.split, "crops"
    )
    return [self._crop(row, os.path.join(folder, x), file) for x in names]

  def _check_number(self, split: str) -> None:
    """Raises ValueError unless a released list has an entry for each line.

    A line that was added or deleted shifts the entries of all later ones.
    """
    file, entries = self._grounded[split]
    num_lines = tree.count_lines(tree.text_path(self._raw_dir, split))
    if len(entries) != num_lines:
      raise ValueError(
        f"{file}: expected an entry for each of the {num_lines} lines of"
        f" {rows.file_name(split)}, got {len(entries)}"
      )

  def _inside(self, row: Row, file: str, path: str) -> Crop:
    """Resolves a path relative to the data root, which it must not leave."""
    parts = path.replace("\\", "/").split("/")
    leaves = ".." in parts or os.path.isabs(path) or "\0" in path
    if leaves or not path or not rows.is_text(path):
      raise RowError(
        row.where,
        "crop name leaves the data folder",
        f"expected a path inside the tree, got {path[:80]!r} in {file}",
      )
    return self._crop(row, os.path.join(self._raw_dir, *parts), file)

  def _crop(self, row: Row, path: str, file: str) -> Crop:
    _check_link(row.where, self._raw_dir, path)
    return Crop(path, None, file)

  def _load(
    self, pattern: str, key_type: type
  ) -> dict[str, tuple[str, dict[Any, list[str]]]]:
    """Returns split -> the list's file name and contents, if it exists."""
    found = {}
    for split in schema.SPLITS:
      path = self._first(pattern, split)
      if path is None:
        continue
      listed = torch_file.load(path)
      if not isinstance(listed, dict):
        raise ValueError(
          f"{path}: expected a dictionary of crop lists, got a"
          f" {type(listed).__name__}"
        )
      for key, names in listed.items():
        is_list = isinstance(names, (list, tuple))
        all_text = is_list and all(isinstance(name, str) for name in names)
        if type(key) is not key_type or not all_text:
          raise ValueError(
            f"{path}: expected {key_type.__name__} keys and lists of names, got"
            f" {shown(key)}: {shown(names)}"
          )
      self.files.append(path)
      found[split] = (os.path.basename(path), listed)
    return found

  def _first(self, pattern: str, split: str) -> str | None:
    """Returns the first existing path under any name of a split."""
    for name in _SPLIT_NAMES[split]:
      path = os.path.join(self._raw_dir, pattern.format(name))
      if os.path.exists(path):
        return path
    return None


class Pictures:
  """Finds pictures in `img_org/`, in a split's own folder first.

  Published pictures may be in another split's folder than their rows. Without
  an `a.xyz.jpg`, `a.xyz` is used: rows get MNRE-1's omitted suffix unless they
  have a known one.

  Attributes:
    folder: the folder of all pictures.
  """

  def __init__(self, raw_dir: str, folder: str = "img_org"):
    """Stores the tree's path; reads nothing.

    Args:
      raw_dir: the tree.
      folder: where pictures are; only `img_org` is divided by split.
    """
    self.folder = os.path.join(raw_dir, folder)
    self._by_split = folder == "img_org"
    self._raw_dir = raw_dir
    # Rows that share a picture follow each other.
    self._last: tuple[tuple[str, str], str | None] | None = None

  def find(self, row: Row) -> str | None:
    """Returns the path of a row's picture, or None if there is no file.

    Raises:
      RowError: if two folders hold files of that name with different bytes, or
        one is a link out of the tree.
    """
    key = (row.split, row.img_id)
    if self._last is None or self._last[0] != key:
      stem, suffix = os.path.splitext(row.img_id)
      path = self._find_name(row, row.img_id)
      if path is None and suffix == ".jpg":
        path = self._find_name(row, stem)
      self._last = (key, path)
    return self._last[1]

  def expected(self, row: Row) -> str:
    """Returns the path that a row's picture should have."""
    return self._paths(row, row.img_id)[0]

  def _paths(self, row: Row, name: str) -> list[str]:
    if not self._by_split:
      return [os.path.join(self.folder, name)]
    splits = sorted(schema.SPLITS, key=lambda split: split != row.split)
    return [
      os.path.join(self.folder, folder, name)
      for split in splits
      for folder in _SPLIT_NAMES[split]
    ]

  def _find_name(self, row: Row, name: str) -> str | None:
    paths = self._paths(row, name)
    for path in paths:
      _check_link(row.where, self._raw_dir, path)
    files = [path for path in paths if os.path.isfile(path)]
    for other in files[1:]:
      if not filecmp.cmp(files[0], other, shallow=False):
        raise RowError(
          row.where,
          "duplicate picture",
          f"{files[0]} and {other} have one name and different bytes",
        )
    return files[0] if files else None


def _cut(row: Row, box: box_lists.Box) -> Crop:
  return Crop(None, box.edges, f"boxes of {row.img_id!r}, box {box.index}")


def _check_link(where: str, raw_dir: str, path: str) -> None:
  """Raises RowError for a file that is a link out of a tree.

  Such a link in downloaded data could read any picture of this machine. Folders
  may be links: those are made by the owner of the tree.
  """
  if not os.path.islink(path):
    return
  found = os.path.realpath(path)
  folders = [os.path.realpath(x) for x in (raw_dir, os.path.dirname(path))]
  if not any(os.path.commonpath((x, found)) == x for x in folders):
    raise RowError(
      where,
      "link leaves the data folder",
      f"expected a file in the tree, got {path}, a link to {found}",
    )
