"""Predicts blocks: the work of each process of a cluster."""

import itertools
import os
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ifa_jax.inference import choose_flags, completion, model_flags
from ifa_jax.inference.blocks import kinds
from ifa_jax.inference.blocks.cut import Block
from ifa_jax.runtime import compilation_cache


class Task(NamedTuple):
  """A block to predict.

  Attributes:
    source: the file of posts.
    target: the file of records, which appears complete or not at all.
    partial: folder for unfinished files, on the same disk.
    block: of the file.
  """

  source: str
  target: str
  partial: str
  block: Block


def load(
  options: Mapping[str, Any], step: int
) -> Callable[[Any], tuple[int, int]]:
  """Loads the model of the flags of `ifa_jax.predict`.

  Args:
    options: the flags.
    step: of the model's checkpoint.

  Returns:
    A function of a task as JSON, which returns the numbers of posts and of
    invalid ones.

  Raises:
    ValueError: if there is no such model, it has a better checkpoint by now, or
      a file is malformed.
    OSError: if a file cannot be opened.
  """
  compilation_cache.keep_executables()
  values: Any = types.SimpleNamespace(**options)
  predictor = model_flags.load(values)
  if predictor.step != step:
    raise ValueError(
      f"{values.model or values.workdir}: expected the best checkpoint at step"
      f" {step}, got step {predictor.step}: training has continued; choose"
      " another --output"
    )
  choice = choose_flags.read(values)
  listed = completion.read_listed(values.boxes, values.captions)

  def predict(item: Any) -> tuple[int, int]:
    source, target, partial, block = item
    task = Task(source, target, partial, Block(*block))
    posts = kinds.of_file(source).read(source, task.block.place)
    posts = itertools.islice(posts, task.block.num_read)
    for known in listed:
      posts = map(known.complete, posts)
    skip = task.block.skip_questions
    records = predictor.predict_all(posts, values.batch_size, choice, skip)
    return _write(task, records)

  return predict


def _write(task: Task, records: Any) -> tuple[int, int]:
  """Writes the records of a block, in a file that then gets its name."""
  block, num_errors = task.block, 0
  end = block.skip_posts + block.num_posts
  own = itertools.islice(records, block.skip_posts, end)

  def counted():
    nonlocal num_errors
    for record in own:
      num_errors += "error" in record
      yield record

  # A worker that is thought dead may still write the same block.
  partial = os.path.join(task.partial, uuid.uuid4().hex)
  kinds.of_file(task.source).write(partial, counted(), task.source)
  with open(partial, "rb") as file:
    os.fsync(file.fileno())
  os.replace(partial, task.target)
  return block.num_posts, num_errors
