"""Test rows that others rewrote, next to their originals."""

from collections.abc import Mapping
from typing import Any

from ifa_jax.analyze.names import draws, predict, rewrite, scores
from ifa_jax.analyze.names.draws import Compared
from ifa_jax.analyze.names.predict import Run
from ifa_jax.analyze.names.scores import Answers
from ifa_jax.data.text.markers import Cut
from ifa_jax.data.text.row_text import RowText
from ifa_jax.files.shown import shown
from ifa_jax.inference import jsonl
from ifa_jax.inference.post import read_post
from ifa_jax.statistics import bootstrap, metrics

# Keys of a post that would replace the row's own picture.
_PICTURE = ("image", "image_base64", "boxes", "caption")


def compare(run: Run, path: str) -> Compared:
  """Scores the rewritten rows of a file, posts with the `id` of their row.

  Raises:
    ValueError: for an invalid post, one with a picture, one of no test row, or
      of one that the file has already; names the post by its position.
  """
  return compare_texts(run, read(run, path), f"rows of {path}")


def compare_texts(
  run: Run,
  texts: Mapping[int, RowText],
  rewriting: str,
  left_out: Mapping[str, int] | None = None,
) -> Compared:
  """Scores rewritten rows, number of row -> text, next to their originals.

  `left_out` counts other lines of their file, reason -> number.
  """
  rows = [*texts]
  made = [predict.rewritten(run, text) for text in texts.values()]
  (found,) = draws.predict_draws(run, rows, [made])
  answers = Answers(
    run.original.gold[rows],
    run.original.predicted[rows],
    found.predicted[None],
    bootstrap.number_posts([run.texts[row].img_id for row in rows]),
  )
  result: dict[str, Any] = {
    "rewriting": rewriting,
    "seeds": [0],
    "n": len(rows),
    "posts": int(answers.posts.max()) + 1,
    "cut": sum(rewrite.is_cut(text, run.tokenizer) for text in made),
    "left_out": dict(left_out or {}),
  }
  groups = {"relation": answers.gold != metrics.NONE}
  groups["None"] = ~groups["relation"]
  result |= scores.compare(answers, groups)
  return Compared(result, rows, [(made, found)])


def read(run: Run, path: str) -> dict[int, RowText]:
  """Reads rewritten rows: number of row -> text; see `compare`."""
  numbers = {text.id: row for row, text in enumerate(run.texts)}
  texts: dict[int, RowText] = {}
  with jsonl.reading(path) as posts:
    for number, fields in enumerate(posts, start=1):
      where = f"{path}, post {number}"
      post = read_at(where, fields)
      row = numbers.get(str(fields.get("id")))
      if row is None or row in texts:
        once = "" if row is None else " once"
        raise ValueError(
          f"{where}: expected the id of a test row{once}, such as"
          f" {run.texts[0].id!r}, got {fields.get('id')!r}"
        )
      for key in _PICTURE:
        if fields.get(key) is not None:
          raise ValueError(
            f"{where}: expected no {key}, since a row keeps its own, got"
            f" {shown(fields[key])}"
          )
      texts[row] = with_post(run.texts[row], post)
  if not texts:
    raise ValueError(f"{path}: expected a post in each line, got an empty file")
  return texts


def read_at(where: str, fields: Mapping[str, Any]) -> Cut:
  """Reads a post; raises ValueError with its place if it is invalid."""
  try:
    return read_post(fields)
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from None


def with_post(text: RowText, post: Cut) -> RowText:
  """Returns a row with the words and entities of a post, not yet encoded."""
  return text._replace(words=post.words, head=post.head, tail=post.tail)
