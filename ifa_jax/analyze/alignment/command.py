r"""Figure 1 for a run: which word of a post looks at which picture.

    python -m ifa_jax.analyze alignment --workdir=runs/objects --num_posts=40
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --rows=test/12,test/40 --map=2 --out=figures
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --posts=posts.jsonl --out=figures

For each post: the words x objects map (`alignment_readers` says what a cell
is), and its pictures' patches or objects as the head and the tail see them.
Writes for each post a PNG and a JSON file with all numbers of every map, and
one page `index.html` for all of them, which needs no other file. Posts are
taken in stored order; those with pictures come first, unless `--pictures` says
otherwise. A model that reads only text has no map, and BERT+SG, which sums its
objects, has none.

Posts of one's own are JSON lines as `inference` describes them; the dataset
need not be there. One that cannot be read is told and passed over.
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
from ifa_jax.analyze.alignment.own_posts import PostAligner
from ifa_jax.analyze.alignment.posts import Post, Source
from ifa_jax.analyze.alignment.readers import Reader
from ifa_jax.cli import progress
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training import batch_source, experiment
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

_LOG = logging.getLogger(__name__)

# Which posts to take: those with pictures first, no others, or as they come.
PICTURES = ("first", "only", "any")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_enum(
    "split", "test", [*batch_source.SPLIT_NAMES], "Whose posts."
  )
  flags.DEFINE_integer("num_posts", 40, "At most so many.", lower_bound=1)
  flags.DEFINE_list("rows", [], "These posts instead, by id: test/12,test/40.")
  flags.DEFINE_string("posts", None, "Posts of one's own instead, JSON lines.")
  flags.DEFINE_enum(
    "pictures",
    "first",
    PICTURES,
    "Of posts with something to look at: take them first, take only them, or"
    " take any posts, as they are stored.",
  )
  flags.DEFINE_string(
    "map",
    None,
    "Shown in the figures: mean or a layer from 0, or as the model names its"
    " maps; its first if not given. Pages have all.",
  )
  flags.DEFINE_string(
    "out", None, "Folder; RUN/alignment_SPLIT or _own if not given."
  )
  flags.mark_flag_as_required("workdir")
  flags.register_multi_flags_validator(
    ["rows", "posts"],
    lambda values: not (values["rows"] and values["posts"]),
    "want either --rows or --posts",
  )


def main(_) -> None:
  """Runs the command."""
  options = flags.FLAGS
  folder = RunFolder(options.workdir)
  name = "own" if options.posts else options.split
  take = take_own if options.posts else take_rows
  source, posts, shown = take(folder, options)
  out = options.out or folder.file(f"alignment_{name}")
  write(out, source, posts, shown)
  print(f"written to {os.path.join(os.path.abspath(out), 'index.html')}")


# What is written: see `write`.
Taken = tuple[Source, Iterable[Post], int]


def take_own(folder: RunFolder, options: Any) -> Taken:
  """Returns posts of one's own, as the flags say."""
  predictor = Predictor(folder.path)
  try:
    aligner = PostAligner(predictor)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  shown = map_index(options.map, [*aligner.titles])
  posts = own_posts.read_file(aligner, options.posts, options.num_posts)
  return aligner.source(options.workdir), posts, shown


def take_rows(folder: RunFolder, options: Any) -> Taken:
  """Returns rows of a run's dataset, as the flags say."""
  built = experiment.build(run_record.read(folder), folder)
  reader = make_reader(built, folder)
  run_record.claim(folder, built.config, built.prepared.metadata)
  shown = map_index(options.map, [*reader.titles])
  split = built.data.split(options.split)
  if options.rows:
    rows = find(split, options.rows)
  else:
    seen = [any(counts) for counts in built.data.num_seen(split)]
    rows = choose(seen, options.num_posts, options.pictures, split.name)
  best = alignment_split.load_best(built, folder)
  aligner = alignment_split.SplitAligner(built, best.params)
  source = Source(
    options.workdir,
    options.split,
    built.prepared.protocol,
    best.step,
    built.data.inputs.visual_source(split),
  )
  return source, aligner.posts(split, rows), shown


def make_reader(built: experiment.Experiment, folder: RunFolder) -> Reader:
  """Returns what reads the maps of a run's model.

  Raises:
    ValueError: for a run that has no alignment to show, with the reason.
  """
  try:
    reader = alignment_split.reader(built)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  fields = [field for field, *_ in built.config.model.picture_slots]
  if fields and not any(map(built.prepared.has_any, fields)):
    raise ValueError(
      f"{built.prepared.folder}: want posts with any of {', '.join(fields)},"
      " which this run's model looks at, found none"
    )
  return reader


def map_index(name: str | None, names: Sequence[str]) -> int:
  """Returns the place of a map among those of a model; None is the first.

  Raises:
    ValueError: for another name.
  """
  if name is None:
    return 0
  if name not in names:
    raise ValueError(f"--map: want one of {', '.join(names)}, found {name!r}")
  return names.index(name)


def find(split: Split, ids: Sequence[str]) -> list[int]:
  """Returns the rows with these ids, each once, in the order asked for.

  Raises:
    ValueError: for an id that no row has, naming the nearest one.
  """
  places = {split.describe(i).id: i for i in range(len(split))}
  for wanted in ids:
    if wanted not in places:
      near = difflib.get_close_matches(wanted, places, n=1)
      hint = f"; did you mean {near[0]}?" if near else ""
      raise ValueError(
        f"--rows: want ids of the split {split.name}, found {wanted!r}{hint}"
      )
  return [places[wanted] for wanted in dict.fromkeys(ids)]


def choose(
  seen: Sequence[bool], num_posts: int, pictures: str, name: str
) -> list[int]:
  """Returns rows in stored order, as `--pictures` says.

  Args:
    seen: of each row, whether the model sees anything of a picture.
    num_posts: at most so many.
    pictures: one of `PICTURES`.
    name: of the split, for messages.

  Raises:
    ValueError: if there is none to choose from.
  """
  there = np.array(seen, bool)
  rows = np.arange(len(there))
  if pictures != "any":
    _LOG.info("%d of %d posts have pictures", there.sum(), len(rows))
    without = [] if pictures == "only" else rows[~there]
    rows = np.concatenate([rows[there], without])
  if not len(rows):
    raise ValueError(
      f"split {name}: want posts with a picture, crop or object that the model"
      " sees, found none; --pictures=any takes posts without"
    )
  return [*map(int, rows[:num_posts])]


def write(
  out: str | os.PathLike, source: Source, posts: Iterable[Post], shown: int
) -> None:
  """Writes `posts/ID.png` and `posts/ID.json` for each post, and the page.

  Args:
    out: a folder, made if need be; files of the same names are replaced.
    source: named in all of them.
    posts: with their maps.
    shown: the map to draw, 0 for the first.

  Raises:
    ValueError: if there is no post.
  """
  folder = RunFolder(out)
  kept, taken = [], set()
  for post in progress.bar(posts, "posts", unit=" posts"):
    os.makedirs(folder.file("posts"), exist_ok=True)
    stem = os.path.join("posts", _new_name(post.file_name, taken))
    folder.write_json(f"{stem}.json", source._asdict() | post.to_json())
    figures.save(post, folder.file(f"{stem}.png"), shown, str(source))
    kept.append(post)
  if not kept:
    raise ValueError(f"{source}: want posts to show, found none")
  folder.write_text("index.html", page.render(source, kept, shown))


def _new_name(stem: str, taken: set[str]) -> str:
  """Returns a name that no other post has, and takes it; 2 posts may be "a"."""
  name, number = stem, 1
  # Some file systems do not tell "a" from "A".
  while name.casefold() in taken:
    number += 1
    name = f"{stem}-{number}"
  taken.add(name.casefold())
  return name
