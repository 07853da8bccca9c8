r"""Figure 1 for a run: which word of a post looks at which picture.

    python -m ifa_jax.analyze alignment --workdir=runs/objects --num_posts=40
    python -m ifa_jax.analyze alignment --workdir=runs/objects \
        --rows=test/12,test/40 --layer=2 --out=figures

For each post: the words x objects map (`alignment_maps` says what a cell is),
and the patches of its pictures as the head and the tail see them. Writes for
each post a PNG and a JSON file with all numbers of every layer, and one page
`index.html` for all of them, which needs no other file. Posts are taken in
stored order; those with pictures come first, unless `--pictures` says
otherwise.
"""

import difflib
import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
from absl import flags

from ifa_jax import experiment, progress
from ifa_jax.analyze import (
  alignment_compute,
  alignment_figures,
  alignment_page,
)
from ifa_jax.analyze.alignment_posts import Post, Source
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
    "layer", "mean", "Shown in the figures, from 0, or mean; pages have all."
  )
  flags.DEFINE_string("out", None, "Folder; RUN/alignment_SPLIT if not given.")
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  options = flags.FLAGS
  folder = RunFolder(options.workdir)
  built = experiment.build(folder.read_record()["config"])
  check(built, folder)
  folder.claim(built.config, built.prepared.metadata)
  layer = layer_index(options.layer, built.model_config.text.num_layers)
  split = built.split(options.split)
  if options.rows:
    rows = find(split, options.rows)
  else:
    fields = [field for field, *_ in built.geometry.slots]
    rows = choose(split, options.num_posts, options.pictures, fields)
  best = alignment_compute.load_best(built, folder)
  aligner = alignment_compute.Aligner(built, best.params)
  source = Source(options.workdir, options.split, built.protocol, best.step)
  out = options.out or folder.file(f"alignment_{options.split}")
  write(out, source, aligner.posts(split, rows), layer)
  print(f"written to {os.path.join(os.path.abspath(out), 'index.html')}")


def check(built: experiment.Experiment, folder: RunFolder) -> None:
  """Raises ValueError for a run that has no alignment to show."""
  if built.model_config.vision is None:
    raise ValueError(
      f"{folder.path}: want a run of a model that looks at pictures, found one"
      " that reads only text and has no alignment"
    )
  fields = [field for field, *_ in built.model_config.picture_slots]
  if not any(built.prepared.has_any(field) for field in fields):
    raise ValueError(
      f"{built.prepared.folder}: want posts with any of {', '.join(fields)},"
      " which this run's model looks at, found none"
    )


def layer_index(name: str, num_layers: int) -> int:
  """Returns the place of a layer behind the mean: "mean" is 0, "0" is 1.

  Raises:
    ValueError: for another name.
  """
  names = ["mean", *map(str, range(num_layers))]
  if name not in names:
    raise ValueError(
      f"--layer: want mean or 0 to {num_layers - 1}, found {name!r}"
    )
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
  split: Split, num_posts: int, pictures: str, fields: Sequence[str]
) -> list[int]:
  """Returns rows in stored order, as `--pictures` says.

  Args:
    split: whose rows.
    num_posts: at most so many.
    pictures: one of `PICTURES`.
    fields: what the model looks at.

  Raises:
    ValueError: if there is none to choose from.
  """

  def looks(row):
    found = split.describe(row).num_squares
    return any(found[field] for field in fields)

  rows = list(range(len(split)))
  if pictures != "any":
    there = [looks(row) for row in rows]
    _LOG.info("%d of %d posts have pictures", sum(there), len(rows))
    without = [] if pictures == "only" else np.flatnonzero(~np.array(there))
    rows = [*map(int, np.flatnonzero(there)), *map(int, without)]
  if not rows:
    raise ValueError(
      f"split {split.name}: want posts with any of {', '.join(fields)}, found"
      " none; --pictures=any takes posts without"
    )
  return rows[:num_posts]


def write(
  out: str | os.PathLike, source: Source, posts: Iterable[Post], layer: int
) -> None:
  """Writes `posts/ID.png` and `posts/ID.json` for each post, and the page.

  Args:
    out: a folder, made if need be; files of the same names are replaced.
    source: named in all of them.
    posts: with their maps.
    layer: the one to show, 0 for the mean.
  """
  folder = RunFolder(out)
  os.makedirs(folder.file("posts"), exist_ok=True)
  shown = []
  for post in progress.bar(posts, "posts", unit=" posts"):
    stem = os.path.join("posts", post.file_name)
    folder.write_json(f"{stem}.json", source._asdict() | post.to_json())
    alignment_figures.save(post, folder.file(f"{stem}.png"), layer, str(source))
    shown.append(post)
  folder.write_text("index.html", alignment_page.render(source, shown, layer))
