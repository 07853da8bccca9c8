r"""Predicts the relations of one's own posts with a trained run.

    python -m ifa_jax.predict --workdir=runs/objects \
        --text="Ann joins Acme today" --head=Ann --tail=Acme --image=ann.jpg

    python -m ifa_jax.predict --workdir=runs/objects \
        --input=posts.jsonl --output=predictions.jsonl

A line of posts.jsonl is a post as `ifa_jax.posts` describes it. A line that
cannot be read becomes a record with `error`, and the rest goes on.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

from absl import flags

from ifa_jax import command, progress, report


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  string = flags.DEFINE_string
  string("workdir", None, "A finished run's folder.")
  string("text", None, "The post's text.")
  string("head", None, "The head entity, as it stands in the text.")
  string("tail", None, "The tail entity, as it stands in the text.")
  string("head_span", None, "The head's words in its place, e.g. 3:5.")
  string("tail_span", None, "The tail's words in its place, e.g. 3:5.")
  string("image", None, "The post's picture, a file.")
  string("boxes", None, "Boxes file that lists the picture by its file name.")
  string("input", None, "JSON lines of posts, in place of one post.")
  string("output", None, "Where predictions of --input go, a JSON line each.")
  flags.DEFINE_integer("batch_size", 32, "Posts at a time.", lower_bound=1)
  flags.mark_flag_as_required("workdir")
  flags.register_multi_flags_validator(
    ["text", "input", "output"],
    lambda values: (
      (values["text"] is None) == (values["input"] is not None)
      and (values["input"] is None) == (values["output"] is None)
    ),
    "want either --text, or --input with --output",
  )


def main(_) -> None:
  """Predicts one post and prints it, or a file of posts."""
  from ifa_jax.predictor import Predictor

  values = flags.FLAGS
  predictor = Predictor(values.workdir)
  if values.text is not None:
    print_prediction(predictor.predict(_post_of_flags(values)))
    return
  count, errors = predict_file(
    predictor, values.input, values.output, values.batch_size
  )
  print(f"{values.output}: {count} posts, {errors} of them could not be read")


def _post_of_flags(values) -> dict[str, Any]:
  post = {key: values[key].value for key in ("text", "head", "tail", "image")}
  for key in ("head_span", "tail_span"):
    if values[key].value is not None:
      post[key] = _parse_span(key, values[key].value)
  if values.boxes is not None:
    with open(values.boxes, encoding="utf-8") as file:
      listed = json.load(file)
    post["boxes"] = listed.get(os.path.basename(post["image"] or ""), [])
  return post


def _parse_span(name: str, text: str) -> list[int]:
  try:
    begin, end = text.split(":")
    return [int(begin), int(end)]
  except ValueError:
    raise ValueError(
      f"--{name}: want BEGIN:END in words, found {text!r}"
    ) from None


def print_prediction(prediction: dict[str, Any], most: int = 5) -> None:
  """Prints the likeliest relations of a post as a table."""
  ranked = sorted(prediction["probabilities"].items(), key=lambda kv: -kv[1])
  table = report.make_table(
    f"{prediction['head']} -> {prediction['tail']}"
    f" (trained under protocol {prediction['protocol']})",
    ("relation", "probability"),
    [(name, f"{p:.4f}") for name, p in ranked[:most]],
  )
  report.print_table(table)


def predict_file(
  predictor, source: str, target: str, batch_size: int
) -> tuple[int, int]:
  """Predicts a file of posts line by line, in constant memory.

  The target appears only when all is predicted.

  Returns:
    How many posts there were, and how many of them could not be read.
  """
  count = errors = 0
  partial = f"{target}.partial"
  # Halves of characters are written as they came, as "\ud83d".
  options = {"encoding": "utf-8", "errors": "backslashreplace"}
  with open(source, "rb") as lines, open(partial, "w", **options) as out:
    records = predictor.predict_all(_read_lines(lines), batch_size)
    for record in progress.bar(records, unit=" posts"):
      count += 1
      errors += "error" in record
      out.write(json.dumps(record, ensure_ascii=False) + "\n")
  os.replace(partial, target)
  return count, errors


def _read_lines(lines) -> Iterator[dict[str, Any]]:
  """Yields the post of each line that is not blank; a bad one has `line`."""
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      post = json.loads(line)
    except (ValueError, RecursionError):
      post = None
    if not isinstance(post, dict):
      post = {"line": number, "not_json": line.decode(errors="replace").strip()}
    yield post


if __name__ == "__main__":
  _define_flags()
  command.run(main)
