"""Where the pixels of a row come from: its picture and its crops.

The grounded crops follow the protocol. `released`: the published dictionary,
whose queries were built from the gold relation. `clean`: boxes found for the
names of the two entities, the best of each before all others. `none`: none.
Detected crops and the picture depend on the picture's name alone.
"""

import filecmp
import os
from typing import Any, NamedTuple

from ifa_jax.data import schema
from ifa_jax.data.images import boxes as box_lists
from ifa_jax.data.mnre import row as lines
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import torch_file
from ifa_jax.files.shown import shown

# How a split may be called: DeepKE writes dev for val in some names.
_SPLIT_NAMES = {"train": ["train"], "val": ["val", "dev"], "test": ["test"]}


class Crop(NamedTuple):
  """One crop: a file, or a box in the row's picture.

  Attributes:
    path: the file where it is, or should be; None for a box.
    edges: (x0, y0, x1, y1) in the picture's pixels; None for a file.
    origin: the place it is listed at, for messages.
  """

  path: str | None
  edges: tuple[float, float, float, float] | None
  origin: str


def _cut(row: Row, box: box_lists.Box) -> Crop:
  """Returns a box of a row's picture as a crop."""
  return Crop(None, box.edges, f"boxes of {row.img_id!r}, box {box.index}")


class Crops:
  """The crops that a tree, and perhaps a boxes file, list for each row.

  Attributes:
    files: paths of the lists read from the tree.
  """

  def __init__(
    self,
    raw_dir: str,
    protocol: str,
    boxes: dict[str, list[box_lists.Box]] | None = None,
  ):
    """Reads the lists that a protocol needs.

    Args:
      raw_dir: a tree as published.
      protocol: released, clean or none.
      boxes: of `data.images.boxes`; they replace the tree's detected crops.

    Raises:
      ValueError: if the protocol's lists are not there or not of their form.
    """
    if protocol == "clean" and boxes is None:
      raise ValueError(
        "protocol clean cuts its grounded crops from boxes found for the entity"
        " names; give them by --boxes (data_prep.objects makes them)"
      )
    self._raw_dir = raw_dir
    self._protocol = protocol
    self._boxes: Any = boxes  # They are there if the protocol is clean.
    self.files: list[str] = []
    self._grounded = {}
    if protocol == "released":
      self._grounded = {s: self._load_grounded(s) for s in schema.SPLITS}
    self._detected = {}
    if boxes is None:
      self._detected = {s: self._load_detected(s) for s in schema.SPLITS}

  def grounded(self, row: Row) -> list[Crop]:
    """Returns every grounded crop that is listed for a row.

    Those to keep come first: `released` in the dictionary's order, `clean` as
    `boxes.grounded` has them.

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
    """Returns every detected crop that is listed for a row's picture.

    Raises:
      RowError: if a path leaves the data folder.
    """
    if self._boxes is not None:
      found = box_lists.detected(self._boxes.get(row.img_id, []))
      return [_cut(row, box) for box in found]
    stem = os.path.splitext(row.img_id)[0]
    file, crops = self._detected[row.split]
    return [self._inside(row, file, path) for path in crops.get(stem, [])]

  def _released(self, row: Row) -> list[Crop]:
    """Returns the crop files of a row; the dictionary counts lines from 0."""
    file, crops = self._grounded[row.split]
    if row.line - 1 not in crops:
      raise RowError(
        row.where, "no crop list", f"{file} has no entry {row.line - 1}"
      )
    names = crops[row.line - 1]
    for name in names:
      lines.check_bare_name(row.where, "crop name", name)
    folder = self._first("img_vg/{0}/crops", row.split) or os.path.join(
      self._raw_dir, "img_vg", row.split, "crops"
    )
    paths = [os.path.join(folder, name) for name in names]
    for path in paths:
      self._check_link(row, path)
    return [Crop(path, None, file) for path in paths]

  def _inside(self, row: Row, file: str, path: str) -> Crop:
    """Resolves a path relative to the data root, which it must not leave."""
    parts = path.replace("\\", "/").split("/")
    leaves = ".." in parts or os.path.isabs(path) or "\0" in path
    if leaves or not path or not lines.is_text(path):
      raise RowError(
        row.where,
        "crop name leaves the data folder",
        f"wanted a path inside the tree, found {path[:80]!r} in {file}",
      )
    inside = os.path.join(self._raw_dir, *parts)
    self._check_link(row, inside)
    return Crop(inside, None, file)

  def _check_link(self, row: Row, path: str) -> None:
    check_link(row.where, self._raw_dir, path)

  def _load_grounded(self, split: str) -> tuple[str, dict[int, list[str]]]:
    """Reads mre_{split}_dict.pth."""
    path = self._first("txt/mre_{0}_dict.pth", split)
    if path is None:
      raise ValueError(
        f"{self._raw_dir}: protocol released needs txt/mre_{split}_dict.pth"
      )
    return self._load(path, int)

  def _load_detected(self, split: str) -> tuple[str, dict[str, list[str]]]:
    """Reads {split}_img2crop.pth; a tree without detected crops has none."""
    path = self._first("img_detect/{0}/{0}_img2crop.pth", split)
    return self._load(path, str) if path else ("", {})

  def _load(self, path: str, key_type: type) -> tuple[str, dict[Any, Any]]:
    """Reads a dictionary of lists of names; returns the file's name with it."""
    listed = torch_file.load(path)
    if not isinstance(listed, dict):
      raise ValueError(
        f"{path}: wanted a dictionary of crop lists, found a"
        f" {type(listed).__name__}"
      )
    for key, names in listed.items():
      is_list = isinstance(names, (list, tuple))
      all_text = is_list and all(isinstance(name, str) for name in names)
      if type(key) is not key_type or not all_text:
        raise ValueError(
          f"{path}: wanted {key_type.__name__} keys and lists of names, found"
          f" {shown(key)}: {shown(names)}"
        )
    self.files.append(path)
    return os.path.basename(path), listed

  def _first(self, pattern: str, split: str) -> str | None:
    """Returns the path under any of a split's names that is there."""
    for name in _SPLIT_NAMES[split]:
      path = os.path.join(self._raw_dir, pattern.format(name))
      if os.path.exists(path):
        return path
    return None


def check_link(where: str, raw_dir: str, path: str) -> None:
  """Raises RowError for a file that is a link out of a tree.

  A link in data of others could have any picture of this machine read. Folders
  may be links: whoever lays out a tree makes those.
  """
  if not os.path.islink(path):
    return
  found = os.path.realpath(path)
  folders = (raw_dir, os.path.dirname(path))
  if not any(_is_in(os.path.realpath(folder), found) for folder in folders):
    raise RowError(
      where,
      "link leaves the data folder",
      f"wanted a file in the tree, found {path}, a link to {found}",
    )


def _is_in(folder: str, path: str) -> bool:
  return os.path.commonpath((folder, path)) == folder


class Pictures:
  """Finds pictures in `img_org/`, a split's own folder first.

  Published pictures may lie in another split's folder than their rows. Where
  there is no `a.xyz.jpg`, `a.xyz` is taken: rows get the suffix that MNRE-1
  leaves out unless they have one that is known.
  """

  def __init__(self, raw_dir: str):
    """Remembers the tree; reads nothing."""
    self._raw_dir = raw_dir
    self._folders = {
      split: [os.path.join(raw_dir, "img_org", name) for name in names]
      for split, names in _SPLIT_NAMES.items()
    }
    # Rows that share a picture follow each other.
    self._last: tuple[tuple[str, str], str | None] | None = None

  def find(self, row: Row) -> str | None:
    """Returns the path of a row's picture, or None if there is no file.

    Raises:
      RowError: if two folders hold files of that name with different bytes, or
        if one is a link out of the tree.
    """
    key = (row.split, row.img_id)
    if self._last is None or self._last[0] != key:
      self._last = (key, self._search(row))
    return self._last[1]

  def _search(self, row: Row) -> str | None:
    """Looks for a row's picture, then for its name without the suffix."""
    stem, suffix = os.path.splitext(row.img_id)
    names = [row.img_id, *([stem] if suffix == ".jpg" else [])]
    found = (self._look(row, name) for name in names)
    return next(filter(None, found), None)

  def _look(self, row: Row, name: str) -> str | None:
    """Looks into every folder."""
    order = sorted(schema.SPLITS, key=lambda split: split != row.split)
    folders = [folder for split in order for folder in self._folders[split]]
    paths = [os.path.join(folder, name) for folder in folders]
    for path in paths:
      check_link(row.where, self._raw_dir, path)
    files = [path for path in paths if os.path.isfile(path)]
    if not files:
      return None
    first, *others = files
    for other in others:
      if not filecmp.cmp(first, other, shallow=False):
        raise RowError(
          row.where,
          "duplicate picture",
          f"{first} and {other} have one name and different bytes",
        )
    return first
