r"""Predicts the relations of your own posts with a trained run.

    python -m ifa_jax.predict --workdir=runs/objects \
        --text="Ann joins Acme today" --head=Ann --tail=Acme --image=ann.jpg

    python -m ifa_jax.predict --workdir=runs/objects \
        --text="<s> Ann </s> joins <o> Acme </o> today" --image=ann.jpg \
        --detector=facebook/detr-resnet-50

    python -m ifa_jax.predict --workdir=runs/objects \
        --input=posts.jsonl --output=predictions.jsonl

    python -m ifa_jax.predict --model=user/name --text=... --head=... --tail=...

    python -m ifa_jax.predict --workdir=runs/objects \
        --input=posts.jsonl --output=annotated --format=brat

    python -m ifa_jax.predict --workdir=runs/objects \
        --input=posts --output=predictions --ray

A line of posts.jsonl is a post as `ifa_jax.inference` describes it; paths of
pictures are relative to the working directory. An invalid line produces a
record with an `error` field; the remaining lines are still processed. The
objects of a post are its own `boxes`, otherwise those that --boxes lists for
its picture, otherwise those that --detector and --grounder find. A model that
reads captions gets a post's own `caption`, otherwise that of its picture in
--captions.

With --ray, --input is a file or a folder of JSON lines or Parquet, and --output
(or --out) a folder; see docs/scale.md.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from ifa_jax.cli import app, progress, tables
from ifa_jax.cluster import connection
from ifa_jax.inference import brat, choose_flags, jsonl, model_flags
from ifa_jax.inference.choose import Choice
from ifa_jax.inference.completion import Listed, read_listed
from ifa_jax.inference.post import parse_span, read_post
from ifa_jax.runtime import optional_imports

if TYPE_CHECKING:
  from ifa_jax.inference.predictor import Predictor

COMPILES = True

_ONE_POST = ("text", "head", "tail", "head_span", "tail_span", "image")
_ONE_POST += ("caption",)
# Flags that only --input reads.
_OF_FILES = ("threshold", "top_k", "allowed", "symmetric", "probabilities")
_OF_FILES += ("format", "batch_size", "block_posts")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  string = flags.DEFINE_string
  model_flags.define_flags()
  choose_flags.define_flags()
  connection.define_flag()
  string("text", None, "Text of the post, may be marked: <s> Ann </s> ...")
  string("head", None, "Head entity, as it occurs in the text.")
  string("tail", None, "Tail entity, as it occurs in the text.")
  span = "of the {}, from 0, end exclusive: 3:5 is the words 3 and 4."
  string("head_span", None, f"Words {span.format('head')}")
  string("tail_span", None, f"Words {span.format('tail')}")
  string("image", None, "Picture of the post, a file.")
  string("caption", None, "The picture in words, for models that read it.")
  flags.DEFINE_list(
    "captions", [], "Files of captions by picture, for models that read them."
  )
  string(
    "input",
    None,
    "JSON lines of posts; - is stdin. With --ray: a file or folder of .jsonl or"
    " .parquet.",
  )
  string(
    "output",
    None,
    "File for the predictions of --input; - is stdout. With --ray or"
    " --format=brat: a folder.",
  )
  flags.DEFINE_alias("out", "output")
  flags.DEFINE_enum(
    "format", "jsonl", ["jsonl", "brat"], "Of --output; brat is a folder."
  )
  flags.DEFINE_integer(
    "batch_size", 32, "Posts, or pairs of entities, per batch.", lower_bound=1
  )
  flags.DEFINE_integer(
    "block_posts", 8192, "Posts per file of --output with --ray.", lower_bound=1
  )
  for name in ("head_span", "tail_span"):
    flags.register_validator(
      name,
      lambda span: span is None or parse_span(span) is not None,
      "expected BEGIN:END, whole numbers",
    )
  flags.register_validator("text", _is_alone)
  flags.register_multi_flags_validator(
    [*_ONE_POST, "input", "output", "ray"],
    _is_one_or_many,
    "expected either --text with its flags, or --input with --output",
  )


def _is_alone(text: str | None) -> bool:
  given = [f"--{name}" for name in _OF_FILES if flags.FLAGS[name].present]
  if text is not None and given:
    raise flags.ValidationError(
      f"expected no {', '.join(given)}, which only --input reads"
    )
  return True


def _is_one_or_many(values: Mapping[str, str | None]) -> bool:
  given = {name for name, value in values.items() if value is not None}
  if "text" in given:
    return not given & {"input", "output", "ray"}
  return given - {"ray"} == {"input", "output"}


def main(_) -> None:
  """Predicts one post and prints it, or a file of posts."""
  values, post = flags.FLAGS, None
  # Mistakes in these are reported before the model is loaded.
  if values.text is not None:
    post = _post_of_flags(values)
    read_post(post)
  elif values.ray:
    # Only this form of the command needs it.
    from ifa_jax.inference.blocks import command

    command.run(values, values.ray)
    return
  else:
    _check_files(values.input, values.output, values.format)
  choice = choose_flags.read(values)
  listed = read_listed(values.boxes, values.captions)
  with optional_imports.uncollected():
    predictor = model_flags.load(values)
  if post is not None:
    _predict_one(predictor, post, listed)
    return
  files = (values.input, values.output)
  count, errors = predict_file(
    predictor, *files, values.batch_size, listed, choice, values.format
  )
  print(
    f"{values.output}: {count} posts, {errors} of them invalid",
    file=sys.stderr if values.output == jsonl.STANDARD else sys.stdout,
  )


def _check_files(source: str, target: str, form: str) -> None:
  """Checks paths.

  Raises:
    ValueError: if the input would be overwritten, or the output is a folder;
      for brat, if the output is neither a new folder nor an empty one.
    OSError: if the input does not exist.
  """
  if form == "brat":
    brat.check_folder(target)
  elif os.path.isdir(target):
    raise ValueError(f"--output: expected a file, got the folder {target}")
  if source == jsonl.STANDARD:
    return
  os.stat(source)
  for path in (target, f"{target}.partial"):
    if os.path.exists(path) and os.path.samefile(source, path):
      raise ValueError(
        f"--output: expected another file than --input, got {source}"
      )


def _post_of_flags(values) -> dict[str, Any]:
  post = {name: values[name].value for name in _ONE_POST}
  for key in ("head_span", "tail_span"):
    if post[key] is not None:
      post[key] = parse_span(post[key])
  return post


def _predict_one(
  predictor: "Predictor", post: Mapping[str, Any], listed: Sequence[Listed]
) -> None:
  """Predicts a post and prints it; raises ValueError if it is invalid."""
  for values in listed:
    post = values.complete(post)
    values.warn_unused()
  (prediction,) = predictor.predict_all([post], batch_size=1)
  if "error" in prediction:
    raise ValueError(prediction["error"])
  print_prediction(prediction)


def print_prediction(prediction: Mapping[str, Any], most: int = 5) -> None:
  """Prints the `most` probable relations of a record as a table."""
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
  listed: Sequence[Listed] = (),
  choice: Choice | None = None,
  form: str = "jsonl",
) -> tuple[int, int]:
  """Predicts a file of posts line by line, in constant memory.

  Args:
    predictor: of the run.
    source: JSON lines, see `inference.jsonl`.
    target: appears after all posts have been predicted.
    batch_size: posts per batch.
    listed: boxes and captions of posts without any.
    choice: of the relations of posts with entities.
    form: "jsonl", or "brat" for a folder.

  Returns:
    The numbers of posts and of invalid ones.
  """
  if choice is not None:
    choice.check(predictor.relations)
  count = errors = 0
  with (
    jsonl.reading(source) as posts,
    _writing(target, form, predictor.relations) as write,
  ):
    for values in listed:
      posts = map(values.complete, posts)
    records = predictor.predict_all(posts, batch_size, choice)
    for record in progress.bar(records, unit=" posts"):
      count += 1
      errors += "error" in record
      write(record)
  for values in listed:
    values.warn_unused()
  return count, errors


def _writing(
  target: str, form: str, relations: Sequence[str]
) -> contextlib.AbstractContextManager[Callable[[Mapping[str, Any]], None]]:
  if form == "brat":
    return brat.writing(target, relations)
  return jsonl.writing(target)


def run() -> None:
  """Runs the command."""
  app.run_module("ifa_jax.predict")


if __name__ == "__main__":
  run()
