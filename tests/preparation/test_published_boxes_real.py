"""The coordinates of crops that were published for MNRE."""

import os
import pathlib

import pytest

from ifa_jax.data.mnre import tree
from ifa_jax.preparation.published_boxes import box_files
from ifa_jax.preparation.published_boxes.command import Settings, produce

MNRE_DIR = os.environ.get("MNRE_DIR")
PUBLISHED = pathlib.Path(MNRE_DIR or "") / ".." / "published_boxes"
pytestmark = pytest.mark.skipif(
  not (MNRE_DIR and PUBLISHED.is_dir()),
  reason="set MNRE_DIR to the data/ folder, with published_boxes/ next to it",
)


@pytest.mark.parametrize(
  ("split", "num_detected", "num_bare", "num_grounded"),
  [
    ("train", 20_885, 209, 32_550),
    ("dev", 2_614, 31, 4_344),
    ("test", 2_597, 30, 4_373),
  ],
)
def test_on_the_published_files(split, num_detected, num_bare, num_grounded):
  paths = {
    kind: str(PUBLISHED / f"{split}_{kind}_box_dict.pth")
    for kind in ("detect", "vg")
  }
  detected, grounded = map(box_files.read, paths.values())
  assert (detected.kind, len(detected.boxes)) == ("detected", num_detected)
  assert (grounded.kind, len(grounded.boxes)) == ("grounded", num_grounded)
  name = {"dev": "val"}.get(split, split)
  rows = [*tree.read_rows(MNRE_DIR, name, None)]
  pictures = {os.path.splitext(row.img_id)[0] for row in rows}
  assert len(pictures - detected.by_picture().keys()) == num_bare


@pytest.mark.parametrize("kind", ["detect", "vg"])
def test_the_published_files_together(kind, tmp_path):
  paths = [
    str(PUBLISHED / f"{split}_{kind}_box_dict.pth")
    for split in ("train", "dev", "test")
  ]
  is_grounded = kind == "vg"
  counts = produce(
    Settings(
      paths,
      raw_dir=MNRE_DIR,
      out=str(tmp_path / "boxes.json"),
      crops="grounded" if is_grounded else "detected",
      protocol="released",
    )
  )
  wanted = 32_550 + 4_344 + 4_373 if is_grounded else 20_885 + 2_614 + 2_597
  assert counts["boxes in the files"] == wanted
