r"""Predicts the relations of one's own posts with a trained run.

    python -m ifa_jax.predict --workdir=runs/objects \
        --text="Ann joins Acme today" --head=Ann --tail=Acme --image=ann.jpg

    python -m ifa_jax.predict --workdir=runs/objects \
        --text="<s> Ann </s> joins <o> Acme </o> today" --image=ann.jpg \
        --detector=facebook/detr-resnet-50

    python -m ifa_jax.predict --workdir=runs/objects \
        --input=posts.jsonl --output=predictions.jsonl

    python -m ifa_jax.predict --model=user/name --text=... --head=... --tail=...

A line of posts.jsonl is a post as `ifa_jax.inference` describes it; paths of
pictures are relative to the working directory. A line that cannot be read
becomes a record with `error`, and the rest goes on. A post's objects are its
own `boxes`, or else those that --boxes lists for its picture, or else what
--detector and --grounder find in it, or else none.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from absl import flags

from ifa_jax.cli import app, progress, tables
from ifa_jax.inference import jsonl, model_flags
from ifa_jax.inference.boxes import ListedObjects
from ifa_jax.inference.post import read_post
from ifa_jax.runtime import optional_imports

if TYPE_CHECKING:
  from ifa_jax.inference.predictor import Predictor

COMPILES = True

_ONE_POST = ("text", "head", "tail", "head_span", "tail_span", "image")
_SPAN = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  string = flags.DEFINE_string
  model_flags.define_flags()
  string("text", None, "The post's text, maybe with marks: <s> Ann </s> ...")
  string("head", None, "The head entity, as it stands in the text.")
  string("tail", None, "The tail entity, as it stands in the text.")
  string("head_span", None, "The words that the head stands in, e.g. 3:5.")
  string("tail_span", None, "The words that the tail stands in, e.g. 3:5.")
  string("image", None, "The post's picture, a file.")
  string("input", None, "JSON lines of posts, in place of one; - is stdin.")
  string("output", None, "Where predictions of --input go; - is stdout.")
  string("boxes", None, "Boxes file that lists pictures by their file names.")
  string("detector", None, "Hub id or folder of an object detector.")
  string("grounder", None, "Hub id or folder of a detector by name.")
  flags.DEFINE_integer("batch_size", 32, "Posts at a time.", lower_bound=1)
  for name in ("head_span", "tail_span"):
    flags.register_validator(
      name,
      lambda span: span is None or _SPAN.fullmatch(span),
      "want BEGIN:END, whole numbers",
    )
  flags.register_multi_flags_validator(
    [*_ONE_POST, "input", "output"],
    _is_one_or_many,
    "want either --text and what belongs to it, or --input with --output",
  )


def _is_one_or_many(values: Mapping[str, str | None]) -> bool:
  given = {name for name, value in values.items() if value is not None}
  if "text" in given:
    return not given & {"input", "output"}
  return given == {"input", "output"}


def main(_) -> None:
  """Predicts one post and prints it, or a file of posts."""
  values, post = flags.FLAGS, None
  # A mistake in these is told before a run is loaded for nothing.
  if values.text is not None:
    post = _post_of_flags(values)
    read_post(post)
  else:
    _check_files(values.input, values.output)
  listed = ListedObjects(values.boxes) if values.boxes else None
  predictor = _load_run(values)
  if post is not None:
    _predict_one(predictor, post, listed)
    return
  files = (values.input, values.output)
  count, errors = predict_file(predictor, *files, values.batch_size, listed)
  print(
    f"{values.output}: {count} posts, {errors} of them could not be read",
    file=sys.stderr if values.output == jsonl.STANDARD else sys.stdout,
  )


def _check_files(source: str, target: str) -> None:
  """Checks paths.

  Raises:
    ValueError: if the input would be written over, or the output is a folder.
    OSError: if there is no input.
  """
  if os.path.isdir(target):
    raise ValueError(f"--output: want a file, found the folder {target}")
  if source == jsonl.STANDARD:
    return
  os.stat(source)
  for path in (target, f"{target}.partial"):
    if os.path.exists(path) and os.path.samefile(source, path):
      raise ValueError(f"--output: want another file than --input, {source}")


@optional_imports.uncollected()
def _load_run(values) -> "Predictor":
  finder = None
  if values.detector or values.grounder:
    from ifa_jax.detection.finder import ObjectFinder

    finder = ObjectFinder(values.detector, values.grounder)
  return model_flags.load(values, finder)


def _post_of_flags(values) -> dict[str, Any]:
  post = {name: values[name].value for name in _ONE_POST}
  for key in ("head_span", "tail_span"):
    if post[key] is not None:
      post[key] = [int(end) for end in post[key].split(":")]
  return post


def _predict_one(
  predictor: "Predictor", post, listed: ListedObjects | None
) -> None:
  """Predicts a post and prints it.

  Raises:
    ValueError: for a post that cannot be read.
  """
  completed = listed.complete(post) if listed else post
  if listed:
    listed.tell_unused()
  (prediction,) = predictor.predict_all([completed], batch_size=1)
  if "error" in prediction:
    raise ValueError(prediction["error"])
  print_prediction(prediction)


def print_prediction(prediction: Mapping[str, Any], most: int = 5) -> None:
  """Prints the likeliest relations of a post as a table.

  Args:
    prediction: a record of `Predictor`.
    most: relations that are printed.
  """
  ranked = sorted(prediction["probabilities"].items(), key=lambda kv: -kv[1])
  rows = [(name, f"{p:.4f}") for name, p in ranked[:most]]
  print(f"{prediction['head']} -> {prediction['tail']}")
  tables.print_table(tables.make_table("", ("relation", "probability"), rows))
  print(f"(trained under protocol {prediction['protocol']})")


def predict_file(
  predictor: "Predictor",
  source: str,
  target: str,
  batch_size: int,
  listed: ListedObjects | None = None,
) -> tuple[int, int]:
  """Predicts a file of posts line by line, in constant memory.

  Args:
    predictor: of the run.
    source: JSON lines, see `inference.jsonl`.
    target: appears when all is predicted.
    batch_size: posts at a time.
    listed: boxes of posts without any.

  Returns:
    How many posts there were, and how many of them could not be read.
  """
  count = errors = 0
  with (
    jsonl.reading(source) as posts,
    jsonl.writing(target) as write,
  ):
    completed = map(listed.complete, posts) if listed else posts
    records = predictor.predict_all(completed, batch_size)
    for record in progress.bar(records, unit=" posts"):
      count += 1
      errors += "error" in record
      write(record)
  if listed:
    listed.tell_unused()
  return count, errors


def run() -> None:
  """Runs the command."""
  app.run_module("ifa_jax.predict")


if __name__ == "__main__":
  run()
