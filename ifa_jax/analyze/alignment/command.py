r"""Figure 1 for a run: how each word of a post attends to its pictures.

    python -m ifa_jax.analyze alignment --workdir=runs/objects --num_posts=40
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --rows=test/12,test/40 --map=2 --out=figures
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --posts=posts.jsonl --out=figures

Writes for each post a PNG and a JSON file with the words x objects map and the
weights of patches or objects for the head and the tail, and one self-contained
page `index.html` for all posts. The notes in each file define its numbers. By
default, posts with pictures come first; within that, posts are in stored order.
Models that read only text, and those that weigh no pixels or objects by words,
as BERT+SG, have no map and are refused.

--posts reads your own posts as JSON lines, see `python -m ifa_jax.predict
--help`; the dataset is not needed. Invalid lines are reported and skipped.
"""

import difflib
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.analyze.alignment import figures, own_posts, page
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.posts import AlignedPost, PostSource
from ifa_jax.analyze.alignment.readers import MapReader
from ifa_jax.cli import progress
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training import batch_source, experiment, recorded_inputs
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

_LOG = logging.getLogger(__name__)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "Directory of a finished run.")
  flags.DEFINE_enum(
    "split", "test", [*batch_source.SPLIT_NAMES], "Split of the posts."
  )
  flags.DEFINE_integer(
    "num_posts", 40, "Maximum number of posts.", lower_bound=1
  )
  flags.DEFINE_list(
    "rows", [], "Ids of the posts, in place of --num_posts: test/12,test/40."
  )
  flags.DEFINE_string("posts", None, "JSON lines file of your own posts.")
  flags.DEFINE_enum(
    "pictures",
    "first",
    ["first", "only", "any"],
    "Posts with a picture, crop or object that the model sees: take them first,"
    " take only them, or take any posts in stored order.",
  )
  flags.DEFINE_string(
    "map",
    None,
    "Map of the figures: mean, a layer from 0, or one of the model's other"
    " names; default: the first. The page has all maps.",
  )
  flags.DEFINE_string(
    "out",
    None,
    "Output directory; default: alignment_SPLIT, or alignment_own for --posts,"
    " in the run's directory.",
  )
  flags.mark_flag_as_required("workdir")
  flags.register_multi_flags_validator(
    ["rows", "posts"],
    lambda values: not (values["rows"] and values["posts"]),
    "expected either --rows or --posts, got both",
  )


def main(_) -> None:
  """Runs the command."""
  options = flags.FLAGS
  folder = RunFolder(options.workdir)
  name = "own" if options.posts else options.split
  take = take_own if options.posts else take_rows
  out = options.out or folder.file(f"alignment_{name}")
  write(out, *take(folder, options))
  print(f"written to {os.path.join(os.path.abspath(out), 'index.html')}")


# Arguments of `write`.
Taken = tuple[PostSource, Iterable[AlignedPost], int]


def take_own(folder: RunFolder, options: Any) -> Taken:
  """Reads the user's own posts."""
  predictor = Predictor(folder.path)
  try:
    aligner = own_posts.PostAligner(predictor)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  shown = map_index(options.map, [*aligner.titles])
  posts = own_posts.read_file(aligner, options.posts, options.num_posts)
  return aligner.source(options.workdir), posts, shown


def take_rows(folder: RunFolder, options: Any) -> Taken:
  """Reads rows of the run's dataset."""
  built = recorded_inputs.open_run(folder)
  reader = make_reader(built, folder)
  shown = map_index(options.map, [*reader.kind.titles])
  split = built.data.split(options.split)
  if options.rows:
    rows = find(split, options.rows)
  else:
    seen = [any(counts) for counts in built.data.num_seen(split)]
    rows = choose(seen, options.num_posts, options.pictures, split.name)
  step, params = alignment_split.load_best(folder)
  source = PostSource(
    options.workdir,
    options.split,
    built.prepared.protocol,
    step,
    built.data.inputs.visual_source(split),
  )
  aligner = alignment_split.SplitAligner(built, params)
  return source, aligner.posts(split, rows), shown


def make_reader(built: experiment.Experiment, folder: RunFolder) -> MapReader:
  """Returns the reader of a run's model.

  Raises:
    ValueError: if the model has no alignment, or the dataset no pictures.
  """
  try:
    reader = alignment_split.reader(built)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  fields = [field for field, *_ in built.config.model.picture_slots]
  if fields and not any(map(built.prepared.has_any, fields)):
    raise ValueError(
      f"{built.prepared.folder}: expected posts with any of"
      f" {', '.join(fields)}, which the run's model reads, got none"
    )
  return reader


def map_index(name: str | None, names: Sequence[str]) -> int:
  """Returns the index of a map; None is the first.

  Raises:
    ValueError: for an unknown name.
  """
  if name is None:
    return 0
  if name not in names:
    raise ValueError(f"--map: expected one of {', '.join(names)}, got {name!r}")
  return names.index(name)


def find(split: Split, ids: Sequence[str]) -> list[int]:
  """Returns the rows with these ids, without duplicates.

  Raises:
    ValueError: for an unknown id, with the most similar one.
  """
  rows = {split.describe(i).id: i for i in range(len(split))}
  for name in ids:
    if name not in rows:
      near = difflib.get_close_matches(name, rows, n=1)
      hint = f"; did you mean {near[0]}?" if near else ""
      raise ValueError(
        f"--rows: expected ids of the split {split.name}, got {name!r}{hint}"
      )
  return [rows[name] for name in dict.fromkeys(ids)]


def choose(
  seen: Sequence[bool], num_posts: int, pictures: str, name: str
) -> list[int]:
  """Returns at most `num_posts` rows.

  Args:
    seen: whether the model sees any part of a picture of each row.
    pictures: the flag.
    name: of the split, for messages.

  Raises:
    ValueError: if there is no row to choose.
  """
  has_picture = np.array(seen, bool)
  rows = np.arange(len(has_picture))
  if pictures != "any":
    _LOG.info("%d of %d posts have pictures", has_picture.sum(), len(rows))
    others = [] if pictures == "only" else rows[~has_picture]
    rows = np.concatenate([rows[has_picture], others])
  if not len(rows):
    raise ValueError(
      f"split {name}: expected posts with a picture, crop or object that the"
      " model sees, got none; --pictures=any includes posts without"
    )
  return [*map(int, rows[:num_posts])]


def write(
  out: str | os.PathLike,
  source: PostSource,
  posts: Iterable[AlignedPost],
  shown: int,
) -> None:
  """Writes `posts/ID.png` and `posts/ID.json` of each post, and the page.

  Args:
    out: directory; it is created, and files of the same names are replaced.
    source: written to all files.
    shown: number of the map that figures draw.

  Raises:
    ValueError: if there is no post.
  """
  folder = RunFolder(out)
  written, taken = [], set()
  for post in progress.bar(posts, "posts", unit=" posts"):
    os.makedirs(folder.file("posts"), exist_ok=True)
    stem = os.path.join("posts", _new_name(post.file_name, taken))
    folder.write_json(f"{stem}.json", source._asdict() | post.to_json())
    figures.save(post, folder.file(f"{stem}.png"), shown, str(source))
    written.append(post)
  if not written:
    raise ValueError(f"{source}: expected at least one post, got none")
  folder.write_text("index.html", page.render(source, written, shown))


def _new_name(stem: str, taken: set[str]) -> str:
  """Returns a name that no other post has, and adds it to `taken`."""
  name, number = stem, 1
  # Some file systems ignore case.
  while name.casefold() in taken:
    number += 1
    name = f"{stem}-{number}"
  taken.add(name.casefold())
  return name
