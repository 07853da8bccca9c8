"""Posts to measure with: one's own, or those of the quickstart with photos."""

import ast
import itertools
import json
import os
from collections.abc import Mapping
from typing import Any

from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.preparation.quickstart import command

# Of MNRE's pictures many are about so large, width by height in pixels.
PHOTO_SIZE = (800, 600)


def read(path: str, most: int) -> list[dict[str, Any]]:
  """Returns the first posts of a file of JSON lines.

  Raises:
    ValueError: for a line that is no JSON object, or a file without posts.
  """
  posts = []
  with open(path, encoding="utf-8") as file:
    for number, line in enumerate(itertools.islice(file, most), start=1):
      try:
        posts.append(dict(json.loads(line)))
      except (TypeError, ValueError) as error:
        raise ValueError(f"{path}:{number}: no JSON object ({error})") from None
  if not posts:
    raise ValueError(f"{path}: want posts, found none")
  return posts


def make(folder: str, num_posts: int) -> tuple[list[dict[str, Any]], str]:
  """Generates posts of the quickstart, their pictures as large as photos.

  Args:
    folder: where their files go.
    num_posts: at least one.

  Returns:
    The posts, as `ifa_jax.inference` describes them, and a tokenizer's folder.
  """
  tree = os.path.join(folder, "raw")
  command.generate(tree, command.Settings(1, 1, num_posts))
  with open(os.path.join(tree, "boxes.json"), encoding="utf-8") as file:
    boxes = json.load(file)
  with open(os.path.join(tree, "txt", "ours_test.txt"), encoding="utf-8") as f:
    rows = [ast.literal_eval(line) for line in f]
  posts = [_post(tree, row, boxes[row["img_id"]]) for row in rows]
  return posts, os.path.join(tree, "tokenizer")


def _post(
  tree: str, row: Mapping[str, Any], boxes: list[dict[str, Any]]
) -> dict[str, Any]:
  path = os.path.join(tree, "img_org", "test", row["img_id"])
  picture = decode.open_picture(path)
  scale = [to / of for to, of in zip(PHOTO_SIZE, picture.size, strict=True)] * 2
  picture.resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(path, quality=85)
  return {
    "text": row["token"],
    "head": row["h"]["name"],
    "tail": row["t"]["name"],
    "head_span": row["h"]["pos"],
    "tail_span": row["t"]["pos"],
    "image": path,
    "boxes": [
      box | {"box": [x * s for x, s in zip(box["box"], scale, strict=True)]}
      for box in boxes
    ],
  }
