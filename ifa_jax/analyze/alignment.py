r"""Figure 1 for a run: which word of a post looks at which picture.

    python -m ifa_jax.analyze alignment --workdir=runs/objects --num_posts=40
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --rows=test/12,test/40 --map=2 --out=figures

For each post: the words x objects map (`alignment_readers` says what a cell
is), and its pictures' patches or objects as the head and the tail see them.
Writes for each post a PNG and a JSON file with all numbers of every map, and
one page `index.html` for all of them, which needs no other file. Posts are
taken in stored order; those with pictures come first, unless `--pictures` says
otherwise. A model that reads only text has no map, and BERT+SG, which sums its
objects, has none.
"""

import difflib
import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
from absl import flags

from ifa_jax import experiment, progress
from ifa_jax.analyze import (
  alignment_figures,
  alignment_page,
  alignment_split,
)
from ifa_jax.analyze.alignment_posts import Post, Source
from ifa_jax.analyze.alignment_readers import Reader
from ifa_jax.data.pipeline import Split
from ifa_jax.run_folder import RunFolder

_LOG = logging.getLogger(__name__)

# Which posts to take: those with pictures first, no others, or as they come.
PICTURES = ("first", "only", "any")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_enum("split", "test", [*experiment.SPLIT_NAMES], "Whose posts.")
  flags.DEFINE_integer("num_posts", 40, "At most so many.", lower_bound=1)
  flags.DEFINE_list("rows", [], "These posts instead, by id: test/12,test/40.")
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
  flags.DEFINE_string("out", None, "Folder; RUN/alignment_SPLIT if not given.")
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  options = flags.FLAGS
  folder = RunFolder(options.workdir)
  built = experiment.build(folder.read_record()["config"])
  reader = make_reader(built, folder)
  folder.claim(built.config, built.prepared.metadata)
  shown = map_index(options.map, [*reader.titles])
  split = built.split(options.split)
  if options.rows:
    rows = find(split, options.rows)
  else:
    seen = [any(counts) for counts in built.num_seen(split)]
    rows = choose(seen, options.num_posts, options.pictures, split.name)
  best = alignment_split.load_best(built, folder)
  aligner = alignment_split.SplitAligner(built, best.params)
  source = Source(
    options.workdir,
    options.split,
    built.protocol,
    best.step,
    built.inputs.visual_source(split),
  )
  out = options.out or folder.file(f"alignment_{options.split}")
  write(out, source, aligner.posts(split, rows), shown)
  print(f"written to {os.path.join(os.path.abspath(out), 'index.html')}")


def make_reader(built: experiment.Experiment, folder: RunFolder) -> Reader:
  """Returns what reads the maps of a run's model.

  Raises:
    ValueError: for a run that has no alignment to show, with the reason.
  """
  try:
    reader = alignment_split.reader(built)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  fields = [field for field, *_ in built.model_config.picture_slots]
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
  """
  folder = RunFolder(out)
  os.makedirs(folder.file("posts"), exist_ok=True)
  kept = []
  for post in progress.bar(posts, "posts", unit=" posts"):
    stem = os.path.join("posts", post.file_name)
    folder.write_json(f"{stem}.json", source._asdict() | post.to_json())
    alignment_figures.save(post, folder.file(f"{stem}.png"), shown, str(source))
    kept.append(post)
  folder.write_text("index.html", alignment_page.render(source, kept, shown))
