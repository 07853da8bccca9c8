r"""Generates the quickstart data: small posts whose pictures are drawn.

    python -m data_prep.quickstart --out=runs/quickstart_raw

The result has the files of a raw MNRE tree (see `data.mnre.tree`), `boxes.json`
for `--boxes`, and a `tokenizer/`. The relation of a post follows from the
types of its two entities, which only the text tells, and an emblem, which
only the picture shows:

                     heart    star        cup     house
    person, person   couple   None        peer    neighbor
    person, org      fan_of   founder_of  None    member_of
    person, place    None     birth       visit   residence

All twelve cells are equally frequent. Whoever knows the types alone is right
one time in four and can expect at most 28.6 F1; from the emblem alone, 38.1.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm
from absl import flags

from ifa_jax.cli import app
from ifa_jax.files import scratch
from ifa_jax.preparation.quickstart import pictures as pictures
from ifa_jax.preparation.quickstart import texts as texts
from ifa_jax.preparation.quickstart import tokenizer as tokenizer

# RELATIONS[type of the tail][emblem]; the head is always a person.
RELATIONS = {
  "per": {
    "heart": "/per/per/couple",
    "star": "None",
    "cup": "/per/per/peer",
    "house": "/per/per/neighbor",
  },
  "org": {
    "heart": "/per/org/fan_of",
    "star": "/per/org/founder_of",
    "cup": "None",
    "house": "/per/org/member_of",
  },
  "loc": {
    "heart": "None",
    "star": "/per/loc/place_of_birth",
    "cup": "/per/loc/place_of_visit",
    "house": "/per/loc/place_of_residence",
  },
}
CELLS = [(kind, emblem) for kind in RELATIONS for emblem in RELATIONS[kind]]
# Written last, and looked for before a folder is replaced.
STAMP = "quickstart.json"


@dataclasses.dataclass(frozen=True)
class Settings:
  """How many posts there are in each split, and the seed of them all."""

  num_train: int = 3600
  num_dev: int = 300
  num_test: int = 1200
  seed: int = 0

  @property
  def splits(self) -> dict[str, int]:
    """Number of posts by MNRE's name of the split."""
    return {
      "train": self.num_train,
      "val": self.num_dev,
      "test": self.num_test,
    }


def relation_ids() -> dict[str, int]:
  """Returns relation name -> id, "None" being 0."""
  names = {RELATIONS[kind][emblem] for kind, emblem in CELLS}
  return {"None": 0} | {
    name: i for i, name in enumerate(sorted(names - {"None"}), start=1)
  }


def generate(out: str | os.PathLike, settings: Settings) -> None:
  """Writes the whole tree; `out` appears when it is complete, or not at all.

  Args:
    out: a folder that is absent, empty, or was written by this function.
    settings: `Settings`; the same ones give the same bytes.

  Raises:
    ValueError: if `out` holds anything else.
  """
  out = os.path.abspath(out)
  _check_replaceable(out)
  os.makedirs(os.path.dirname(out), exist_ok=True)
  with scratch.folder(os.path.dirname(out), ".quickstart-") as hidden:
    tree = os.path.join(hidden, "new")
    _write_tree(tree, settings)
    if os.path.exists(out):
      os.rename(out, os.path.join(hidden, "old"))
    os.rename(tree, out)


def _check_replaceable(out: str) -> None:
  if not os.path.lexists(out):
    return
  if not os.path.isdir(out):
    raise ValueError(f"{out} is not a folder")
  names = os.listdir(out)
  if names and STAMP not in names:
    raise ValueError(
      f"{out} holds files that this command did not write; "
      "give --out a folder that is empty or absent"
    )


def _write_tree(tree: str, settings: Settings) -> None:
  os.makedirs(os.path.join(tree, "txt"))
  boxes = {}
  for index, (split, count) in enumerate(settings.splits.items()):
    folder = os.path.join(tree, "img_org", split)
    os.makedirs(folder)
    path = os.path.join(tree, "txt", f"ours_{split}.txt")
    with open(path, "w", encoding="utf-8") as file:
      for post in _posts(split, [settings.seed, index], count):
        file.write(f"{post.row!r}\n")
        boxes[post.row["img_id"]] = post.boxes
        with open(os.path.join(folder, post.row["img_id"]), "wb") as image:
          image.write(post.image)
  _write_json(os.path.join(tree, "ours_rel2id.json"), relation_ids())
  _write_json(os.path.join(tree, "boxes.json"), boxes)
  tokenizer.save(os.path.join(tree, "tokenizer"))
  _write_json(os.path.join(tree, STAMP), dataclasses.asdict(settings))


def _write_json(path: str, content: dict) -> None:
  with open(path, "w", encoding="utf-8") as file:
    json.dump(content, file)


@dataclasses.dataclass(frozen=True)
class Post:
  """One line of the text file, with its picture.

  Attributes:
    row: what stands in the line.
    image: the bytes of a JPEG file.
    boxes: its entry of boxes.json.
  """

  row: dict
  image: bytes
  boxes: list[dict]


def split_cells(seed: Sequence[int], count: int) -> list[tuple[str, str]]:
  """Lists `count` cells, equally frequent, in random order.

  Args:
    seed: (the settings' seed, index of the split).
    count: number of posts.
  """
  order = np.random.default_rng(seed).permutation(count)
  return [CELLS[i % len(CELLS)] for i in order]


def _posts(split: str, seed: Sequence[int], count: int) -> Iterator[Post]:
  """Yields the `Post`s of a split."""
  cells = split_cells(seed, count)
  for i, cell in enumerate(tqdm.tqdm(cells, f"posts of {split}", unit="")):
    name = f"quickstart_{split}_{i:05d}.jpg"
    # Posts have generators of their own: none depends on those before it.
    yield make_post(*cell, name, np.random.default_rng([*seed, i]))


def make_post(
  tail_type: str, emblem: str, img_id: str, rng: np.random.Generator
) -> Post:
  """Returns one `Post`.

  Args:
    tail_type: "per", "org" or "loc".
    emblem: what the picture shows, a key of `quickstart_shapes.EMBLEMS`.
    img_id: the picture's file name.
    rng: a numpy Generator.
  """
  relation = RELATIONS[tail_type][emblem]
  # Generators of their own: the text's draws shift nothing in the picture.
  rng, picture_rng = rng.spawn(2)
  row = texts.compose(tail_type, rng)
  row |= {"img_id": img_id, "relation": relation}
  picture, found = pictures.draw(emblem, picture_rng)
  phrases = {"head": row["h"]["name"], "tail": row["t"]["name"]}
  boxes = []
  for box in found:
    entry = {"box": list(box.corners), "score": box.score}
    if box.role in phrases:
      entry["phrase"] = phrases[box.role]
    boxes.append(entry)
  return Post(row, pictures.encode(picture, picture_rng), boxes)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("out", None, "Folder to write.", required=True)
  default = Settings()
  for name, meaning in (
    ("num_train", "Posts to train on."),
    ("num_dev", "Posts to select on; MNRE calls them val."),
    ("num_test", "Posts to test on."),
  ):
    flags.DEFINE_integer(name, getattr(default, name), meaning, lower_bound=1)
  flags.DEFINE_integer(
    "seed", default.seed, "Same seed, same bytes.", lower_bound=0
  )


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  generate(flags.FLAGS.out, settings)
