r"""How long one post waits for its relation, against what it has to wait.

    python -m benchmarks.latency
    python -m benchmarks.latency --size=mini --posts=posts.jsonl \
        --tokenizer=bert-base-uncased --out=latency.json

A post goes in as a researcher has it, text and picture file and boxes, and its
probabilities come out: `Predictor.predict`, with parameters as training starts
from them. The *floor* is the time that the post's own products take at the
rate of a large product of matrices, which is measured between the posts, since
shared machines drift: FLOPs of the tokens and pictures that the post has, no
padding, over FLOPs a second. Reading the post, decoding its picture, padding,
softmax and norms, and matrices that are large for few tokens make the rest.

Without --posts, posts of the quickstart with photos of 800 x 600 are made.
"""

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from benchmarks import random_run, sample_posts
from benchmarks.flops import Product, count_flops, product_side
from ifa_jax import benchmark
from ifa_jax.cli import app, progress, tables
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models import parameters

_PERCENTS = (50, 95)


class Turn(NamedTuple):
  """One post's prediction, and a large product right before it.

  Attributes:
    seconds: from the post to its record.
    flops: of the model on what the post has.
    rate: of the product, FLOPs a second.
  """

  seconds: float
  flops: float
  rate: float


class FloorCounter:
  """Counts the FLOPs of posts, once for each shape."""

  def __init__(self, predictor: Predictor):
    """Counts nothing yet."""
    self._predictor = predictor
    self._of_shape = functools.cache(self._count)

  def __call__(self, post: Mapping[str, Any]) -> float:
    """Returns the FLOPs of a post's tokens, pictures and crops."""
    example = self._predictor.reader.read(self._predictor.complete(post))
    crops = {field: len(found) for field, found in example.squares.items()}
    num_tokens = len(example.text.encoded.input_ids)
    return self._of_shape(num_tokens, tuple(sorted(crops.items())))

  def _count(
    self, num_tokens: int, crops: tuple[tuple[str, int], ...]
  ) -> float:
    model = self._predictor.model
    batch = parameters.blank_batch(model, 1, num_tokens)
    for field, _, _ in model.picture_slots:
      count = dict(crops).get(field, 0)
      pixels, mask = getattr(batch, field), getattr(batch, f"{field}_mask")
      if field != "image":
        pixels, mask = pixels[:, :count], mask[:, :count]
      there = {field: pixels, f"{field}_mask": mask}
      batch = batch.replace(**(there if count else dict.fromkeys(there)))
    return count_flops(model, batch)


def measure(
  predictor: Predictor, posts: Sequence[Mapping[str, Any]], rounds: int
) -> list[Turn]:
  """Predicts each post alone, after a first time in which all is compiled."""
  count, product = FloorCounter(predictor), Product(product_side())
  counted = [count(post) for post in posts]
  for post in progress.bar(posts, "first time", unit=" posts"):
    predictor.predict(post)
  turns = []
  for _ in progress.bar(range(rounds), "rounds", unit=" rounds"):
    for post, of_post in zip(posts, counted, strict=True):
      rate, began = product.run(0), time.perf_counter()
      predictor.predict(post)
      turns.append(Turn(time.perf_counter() - began, of_post, rate))
  return turns


def summarise(turns: Sequence[Turn]) -> dict[str, float]:
  """Returns latencies in milliseconds, the floor's, and their ratio.

  The rate of a floor is the median of all products: one of them is too short
  to stand for the moment of its post.
  """
  rate = statistics.median(turn.rate for turn in turns)
  floors = [1e3 * turn.flops / rate for turn in turns]
  latencies = [1e3 * turn.seconds for turn in turns]
  ratios = np.divide(latencies, floors)
  at = lambda values, q: round(float(np.percentile(values, q)), 3)  # noqa: E731
  found = {"product_gflops_per_second": round(rate / 1e9, 1)}
  for q in _PERCENTS:
    found[f"latency_ms_p{q}"] = at(latencies, q)
    found[f"floor_ms_p{q}"] = at(floors, q)
    found[f"ratio_p{q}"] = at(ratios, q)
  return found


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("row", "objects", "Which model, as ifa_jax.benchmark.")
  flags.DEFINE_enum("size", "base", [*benchmark.SIZES], "Of the encoders.")
  flags.DEFINE_string("posts", None, "JSON lines, as ifa_jax.predict reads.")
  flags.DEFINE_string("tokenizer", None, "Of --posts: a hub id or a folder.")
  flags.DEFINE_integer("num_posts", 20, "At most so many.", lower_bound=1)
  flags.DEFINE_integer("rounds", 5, "Turns of each post.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file to write.")


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  if values.row not in benchmark.ROWS:
    raise ValueError(
      f"--row: want one of {', '.join(benchmark.ROWS)}, found {values.row!r}"
    )
  model = benchmark.make_model(values.row, values.size, "float32")
  with tempfile.TemporaryDirectory() as folder:
    if values.posts:
      posts = sample_posts.read(values.posts, values.num_posts)
      tokenizer = values.tokenizer
    else:
      posts, tokenizer = sample_posts.make(folder, values.num_posts)
    workdir = os.path.join(folder, "run")
    random_run.write(workdir, model, tokenizer)
    found = summarise(measure(Predictor(workdir), posts, values.rounds))
  _show(values, len(posts), found)


def _show(values: Any, num_posts: int, found: Mapping[str, float]) -> None:
  """Prints the table and writes the file, if one is asked for."""
  machine = benchmark.describe_machine()
  title = (
    f"One post at a time: {values.row}, size {values.size}, {num_posts} posts,"
    f" {values.rounds} rounds\non {machine['device']} ({machine['backend']}),"
    f" product {found['product_gflops_per_second']:.0f} GFLOP/s"
  )
  rows = [
    [
      f"{q} %",
      f"{found[f'latency_ms_p{q}']:.1f}",
      f"{found[f'floor_ms_p{q}']:.1f}",
      f"{found[f'ratio_p{q}']:.2f}",
    ]
    for q in _PERCENTS
  ]
  columns = ("percentile", "latency, ms", "floor, ms", "latency / floor")
  tables.print_table(tables.make_table(title, columns, rows))
  if values.out:
    settings = {
      name: values[name].value for name in ("row", "size", "rounds")
    } | {"num_posts": num_posts}
    found = {"machine": machine, "settings": settings, **found}
    tables.write_json(values.out, found)


if __name__ == "__main__":
  _define_flags()
  app.run(main)
