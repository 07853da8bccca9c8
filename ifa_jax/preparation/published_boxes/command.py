r"""Writes a boxes file from the published coordinates of MNRE's crops.

    python -m data_prep.published_boxes --raw_dir=data --out=boxes.json \
        --boxes=train_detect_box_dict.pth,dev_detect_box_dict.pth,...

The files are those of FocalMRE (see `preparation.published_boxes.box_files`).
Boxes are converted to pixels, so that pictures without a file are left out.
`--unit=fraction` needs no picture: it writes the boxes of all pictures, for
`data_prep.scenes`, whose `--encoder=geometry` needs none as well.
No file has scores: each box has 1, and a picture's boxes keep their order.

Detected crops depend on the picture only. The number and the order of the
grounded crops follow the row's relation: they are read by --crops=grounded
--protocol=released, and the file is marked so that only scenes of runs of that
protocol can be made of it.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence

from ifa_jax.cli import app, progress, settings_flags
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.images.boxes import PIXEL, RELEASED, UNITS, to_pixels
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.files.shown import shown
from ifa_jax.preparation import counts
from ifa_jax.preparation.published_boxes import box_files, boxes_text
from ifa_jax.preparation.published_boxes.box_files import BoxFile, Edges
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")


@dataclasses.dataclass(frozen=True)
class Settings:
  """The flags of `data_prep.published_boxes`."""

  boxes: Sequence[str] = setting("Published files, *_box_dict.pth.")
  raw_dir: str = setting("The tree as published (DeepKE's data/).")
  out: str = setting("Boxes file to write, JSON.")
  crops: str = setting(
    "Kind of the crops in the files.",
    box_files.DETECTED,
    choices=box_files.KINDS,
  )
  protocol: str = setting(
    "Protocol of the runs to use the boxes in; grounded crops need released.",
    "clean",
    choices=schema.PROTOCOLS,
  )
  unit: str = setting("Unit of the edges to write.", PIXEL, choices=UNITS)


def produce(settings: Settings) -> dict[str, int]:
  """Writes the boxes file; it appears complete, or stays as it was.

  Returns:
    Counts, as the command shows them.

  Raises:
    ValueError: for anything wrong with files or tree, for a split without a
      box, for crops that the protocol must not use, or if there is another
      file at `out`.
  """
  boxes_text.check_replaceable(settings.out)
  if not os.path.isdir(settings.raw_dir):
    raise ValueError(f"--raw_dir={settings.raw_dir}: there is no such folder")
  files = _read_files(settings)
  rows = [
    row
    for split in schema.SPLITS
    for row in tree.read_rows(settings.raw_dir, split, None)
  ]
  is_grounded = settings.crops == box_files.GROUNDED
  if is_grounded:
    found = _by_rows(settings.raw_dir, files, rows)
  else:
    found = _by_pictures(files, rows)
  _check_splits(found, rows)
  marks = {"protocol": RELEASED} if is_grounded else {}
  if settings.unit == PIXEL:
    written, lost = _to_pixels(settings.raw_dir, found, rows)
  else:
    marks["unit"] = settings.unit
    written, lost = boxes_text.to_fractions(found), 0
  text = boxes_text.write(written, marks)
  folder, name = os.path.split(os.path.abspath(settings.out))
  os.makedirs(folder, exist_ok=True)
  RunFolder(folder).write_text(name, f"{text}\n")
  return {
    "boxes in the files": sum(len(file.boxes) for file in files),
    "pictures of the tree": len(found),
    "without a box": sum(not listed for listed in found.values()),
    "without a file": lost,
    "pictures written": len(written),
    "boxes written": sum(map(len, written.values())),
  }


def _read_files(settings: Settings) -> list[BoxFile]:
  """Reads the files, whose crops must be of the kind that was asked for."""
  files = [box_files.read(path) for path in settings.boxes]
  for file in files:
    if file.kind != settings.crops:
      raise ValueError(
        f"{file.path}: expected --crops={file.kind}, as the names of its crops,"
        f" got {settings.crops}"
      )
  if settings.crops == box_files.GROUNDED and settings.protocol != "released":
    raise ValueError(
      f"{files[0].path}: the number and the order of grounded crops follow the"
      " relation of their row; expected --protocol=released for them, got"
      f" {settings.protocol}"
    )
  return files


def _by_pictures(
  files: Sequence[BoxFile], rows: Sequence[Row]
) -> dict[str, list[Edges]]:
  """Returns picture's file name -> its detected boxes, for all pictures.

  Raises:
    ValueError: if two files have boxes of one picture, or none of a picture of
      the tree.
  """
  by_stem: dict[str, list[Edges]] = {}
  for file in files:
    found = file.by_picture()
    if twice := sorted(found.keys() & by_stem.keys()):
      raise ValueError(
        f"{file.path}: expected each picture in one file, got {twice[0]!r} in"
        " another file as well"
      )
    by_stem |= found
  pictures = {row.img_id: os.path.splitext(row.img_id)[0] for row in rows}
  unknown = sorted(by_stem.keys() - {*pictures.values()})
  if len(unknown) == len(by_stem):
    raise ValueError(
      f"{files[0].path}: expected crops of the tree's pictures, got"
      f" {len(unknown)} others, first {unknown[0]!r}"
    )
  if unknown:
    _log.warning(
      "%d of %d pictures with boxes are of no row, first %r",
      *(len(unknown), len(by_stem), unknown[0]),
    )
  return {name: by_stem.get(stem, []) for name, stem in pictures.items()}


def _by_rows(
  raw_dir: str, files: Sequence[BoxFile], rows: Sequence[Row]
) -> dict[str, list[Edges]]:
  """Returns picture's file name -> the grounded boxes of all its rows.

  The published dictionaries list the crops of each row.

  Raises:
    ValueError: if a file is of no split of the tree, or two are of the same.
  """
  listed = crops.Crops(raw_dir, "released", boxes={})
  names = {
    row.id: [os.path.basename(crop.path or "") for crop in listed.grounded(row)]
    for row in rows
  }
  of_split: dict[str, Mapping[str, Edges]] = {}
  for file in files:
    for split in schema.SPLITS:
      of_rows = {
        name for row in rows if row.split == split for name in names[row.id]
      }
      if file.boxes.keys() <= of_rows:
        if split in of_split:
          raise ValueError(
            f"{file.path}: expected one file of each split, got another of"
            f" {split}"
          )
        of_split[split] = file.boxes
        break
    else:
      raise ValueError(
        f"{file.path}: expected the crops of one split's"
        f" txt/mre_*_dict.pth, got {shown(next(iter(file.boxes)))} and"
        f" {len(file.boxes) - 1} others"
      )
  found: dict[str, dict[Edges, None]] = {}
  for row in rows:
    of_crops = of_split.get(row.split, {})
    own = [of_crops[name] for name in names[row.id] if name in of_crops]
    # Rows of one picture often have the same box.
    found[row.img_id] = found.get(row.img_id, {}) | dict.fromkeys(own)
  return {name: [*edges] for name, edges in found.items()}


def _check_splits(
  found: Mapping[str, Sequence[Edges]], rows: Sequence[Row]
) -> None:
  """Raises ValueError for a split whose pictures have no box.

  Its file was not given: written as empty lists, its pictures would count as
  having no object.
  """
  with_boxes = {row.split for row in rows if found[row.img_id]}
  for split in schema.SPLITS:
    if split not in with_boxes:
      raise ValueError(
        f"--boxes: expected a box for some picture of {split}, got none; is its"
        " file missing?"
      )


def _to_pixels(
  raw_dir: str, found: Mapping[str, Sequence[Edges]], rows: Sequence[Row]
) -> tuple[dict[str, list[list[float]]], int]:
  """Returns picture -> boxes in pixels, and the number of pictures left out."""
  files = crops.Pictures(raw_dir)
  in_pixels: dict[str, list[list[float]]] = {}
  missing: list[str] = []
  by_picture = {row.img_id: row for row in reversed(rows)}
  for name, listed in progress.bar(found.items(), "sizes", unit=" pictures"):
    path = files.find(by_picture[name])
    if path is None:
      missing.append(name)
      continue
    size = decode.open_picture(path).size
    in_pixels[name] = [[*to_pixels(edges, size)] for edges in listed]
  if missing:
    _log.warning(
      "%s: %d of %d pictures have no file, and so no size; their boxes are left"
      " out, first %r",
      *(raw_dir, len(missing), len(found), missing[0]),
    )
  if not in_pixels:
    raise ValueError(
      f"{raw_dir}: expected pictures of its rows in img_org, got none of"
      f" {len(found)}"
    )
  return in_pixels, len(missing)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  title = f"Published boxes: {settings.crops} crops"
  counts.show(title, {"": produce(settings)}, settings.out)
