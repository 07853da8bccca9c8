r"""Generates a raw tree whose pictures cost as much as MNRE's photos.

    python -m benchmarks.photo_tree --out=tree
    python -m benchmarks.photo_tree --out=tree --raw_dir=data

Copies --raw_dir with the pictures it has, or generates posts of the quickstart
and their `tokenizer`/. Missing pictures are generated: several spatial
frequencies, edges and grain. At 800 x 600 a JPEG file takes about 120 KB and
the square of 224 pixels 80 KB as PNG; 39 of MNRE's pictures take 143 and 79 KB.
`boxes.json` has three boxes for each entity and three without a name, so that
no crop is missing.
"""

import dataclasses
import io
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import harness
from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data import schema
from ifa_jax.data.mnre import crops, tree
from ifa_jax.preparation.quickstart import command as quickstart

# A frequent size of MNRE's pictures, width by height in pixels.
PHOTO_SIZE = (800, 600)
# (side of a patch of one colour in pixels, contrast).
_OCTAVES = ((200, 60.0), (50, 35.0), (13, 3.0), (5, 1.0))
_GRAIN, _QUALITY = 7.0, 85
# Boxes of each name, and of each picture without a name; records keep three.
_NUM_BOXES = 3
# Sides as shares of the picture's; MNRE's boxes average 217 pixels.
_SHARES = (0.15, 0.57)


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  out: str = setting("Folder of the new tree.")
  raw_dir: str | None = setting(
    "Raw tree as published; default: generated.", None
  )
  rows: int = setting(
    "Training rows to generate without --raw_dir.", 12_247, least=1
  )


def make_photo(seed: int, size: tuple[int, int] = PHOTO_SIZE) -> bytes:
  """Returns a JPEG file of (width, height) pixels."""
  rng = np.random.default_rng(seed)
  width, height = size
  pixels = np.full((height, width, 3), rng.uniform(60, 190, 3), np.float32)
  for side, contrast in _OCTAVES:
    shape = (-(-height // side), -(-width // side))
    # Brightness varies more than colour.
    grid = rng.normal(size=(*shape, 3)) + 2 * rng.normal(size=(*shape, 1))
    layer = _to_image(128 + 20 * grid).resize(size, Image.Resampling.BICUBIC)
    pixels += contrast / 40 * (np.asarray(layer, np.float32) - 128)
  picture = _to_image(pixels)
  # Objects with edges: the picture itself, small and upside down.
  for _ in range(4):
    part = [int(side * rng.uniform(0.1, 0.4)) for side in size]
    corner = rng.integers(0, np.subtract(size, part)).tolist()
    turned = picture.transpose(Image.Transpose.ROTATE_180)
    picture.paste(turned.resize(part), corner)
  grain = rng.standard_normal((height, width, 1), np.float32)
  file = io.BytesIO()
  noisy = _to_image(np.asarray(picture) + _GRAIN * grain)
  noisy.save(file, "JPEG", quality=_QUALITY)
  return file.getvalue()


def _to_image(pixels: np.ndarray) -> Image.Image:
  return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def complete_tree(source: str, folder: str, keep_pictures: bool = True) -> int:
  """Copies a raw tree, with or without its pictures, into a new folder.

  Generates missing pictures, and boxes for all rows.

  Returns:
    The number of generated pictures.
  """
  copy = pathlib.Path(folder)
  (copy / "txt").mkdir(parents=True)
  for split in schema.SPLITS:
    shutil.copy(tree.text_path(source, split), copy / "txt")
  if relations := tree.relations_path(source):
    shutil.copy(relations, copy)
  pictures, rows, names = crops.Pictures(source), {}, {}
  for split in schema.SPLITS:
    for row in tree.read_rows(folder, split, None):
      rows[row.img_id] = row
      phrases = names.setdefault(row.img_id, {None})
      phrases |= {row.head_name, row.tail_name}
  boxes, num_generated = {}, 0
  for seed, row in enumerate(progress.bar(rows.values(), "pictures")):
    target = copy / "img_org" / row.split / row.img_id
    target.parent.mkdir(parents=True, exist_ok=True)
    if found := pictures.find(row) if keep_pictures else None:
      shutil.copyfile(found, target)
    else:
      num_generated += 1
      target.write_bytes(make_photo(seed, PHOTO_SIZE))
    with Image.open(target) as opened:
      boxes[row.img_id] = _draw_boxes(opened.size, names[row.img_id], seed)
  (copy / "boxes.json").write_text(json.dumps(boxes))
  return num_generated


def _draw_boxes(
  size: tuple[int, int], phrases: set[str | None], seed: int
) -> list[dict[str, Any]]:
  rng = np.random.default_rng(seed)
  boxes = []
  for phrase in sorted(phrases, key=str) * _NUM_BOXES:
    sides = rng.uniform(*_SHARES, 2) * size
    corner = rng.uniform(size=2) * (np.array(size) - sides)
    edges = np.concatenate([corner, corner + sides]).round(1).tolist()
    box = {"box": edges, "score": round(rng.uniform(), 3)}
    boxes.append(box if phrase is None else box | {"phrase": phrase})
  return boxes


def read_posts(
  raw_dir: str, boxes: str | None = None
) -> Iterator[dict[str, Any]]:
  """Yields the test rows of a raw tree as posts for `ifa_jax.predict`.

  Their boxes are those of a file, by default `boxes.json` in the tree.
  """
  path = boxes or os.path.join(raw_dir, "boxes.json")
  with open(path, encoding="utf-8") as file:
    boxes_of = json.load(file)
  pictures = crops.Pictures(raw_dir)
  for row in tree.read_rows(raw_dir, "test", tree.read_relations(raw_dir)):
    yield {
      "id": f"{row.split}/{row.line}",
      "text": list(row.words),
      "head_span": row.head,
      "tail_span": row.tail,
      "image": pictures.find(row),
      "boxes": boxes_of.get(row.img_id, []),
    }


def main(settings: Settings) -> None:
  """Runs the command."""
  if settings.raw_dir:
    num_generated = complete_tree(settings.raw_dir, settings.out)
    print(f"{settings.out}: {num_generated} pictures generated")
    return
  num_eval = max(1, settings.rows // 8)
  with tempfile.TemporaryDirectory() as folder:
    counts = quickstart.Settings(settings.rows, num_eval, num_eval)
    quickstart.generate(folder, counts)
    complete_tree(folder, settings.out, keep_pictures=False)
    tokenizer = os.path.join(folder, "tokenizer")
    shutil.copytree(tokenizer, os.path.join(settings.out, "tokenizer"))


if __name__ == "__main__":
  harness.run(main, Settings)
