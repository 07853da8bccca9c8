"""Scores of a run's test rows with drawn names."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.names import draw, predict, rewrite, scores
from ifa_jax.analyze.names.draw import Drawn
from ifa_jax.analyze.names.predict import Run
from ifa_jax.analyze.names.scores import Answers
from ifa_jax.data.text.row_text import RowText
from ifa_jax.statistics import bootstrap, metrics
from ifa_jax.training.evaluation import Predictions


class Compared(NamedTuple):
  """Rewritten rows, scored.

  Attributes:
    result: plain values, see `scores.compare`, and counts of rows.
    rows: numbers of the n rows in the test split.
    draws: texts and predictions of the rows, for each draw.
  """

  result: dict[str, Any]
  rows: Sequence[int]
  draws: list[tuple[list[RowText], Predictions]]


def compare(
  run: Run, way: str, num_seeds: int, types_path: str | None = None
) -> Compared:
  """Scores a run's test rows with other names.

  Args:
    run: opened.
    way: one of `draw.WAYS`.
    num_seeds: S, draws with seeds 0 to S - 1.
    types_path: see `types.of_relations`.

  Raises:
    ValueError: for a relation without types, or too few names.
  """
  typed = way == "exchange"
  pairs, dataset = predict.read_dataset(run.built, types_path, typed)
  test = pairs["test"]
  posts = bootstrap.number_posts([text.img_id for text in run.texts])
  drawn = [
    draw.draw(test, posts, dataset, way, seed) for seed in range(num_seeds)
  ]
  texts = [_rewrite(run, one) for one in drawn]
  found = predict_draws(run, range(len(test)), texts)
  trained = draw.pairs_of(pairs["train"])
  seen = np.array([draw.pairs_of([pair]) <= trained for pair in test])
  related = run.original.gold != metrics.NONE
  guessed = drawn[0].guessed
  groups = {
    "relation, pair in training": related & seen,
    "relation, pair not in training": related & ~seen,
    "None, types known" if typed else "None": ~related & ~guessed,
    "None, a type drawn": ~related & guessed,
  }
  cut = [sum(rewrite.is_cut(x, run.tokenizer) for x in some) for some in texts]
  result = {
    "rewriting": f"names {way}",
    "seeds": [*range(num_seeds)],
    "n": len(test),
    "posts": int(posts.max()) + 1,
    "unchanged": sum(map(rewrite.overlaps, run.texts)),
    "cut": sum(cut) / num_seeds,
    "guessed": int(guessed.sum()),
  }
  answers = Answers(
    run.original.gold,
    run.original.predicted,
    np.stack([one.predicted for one in found]),
    posts,
  )
  result |= scores.compare(answers, groups)
  return Compared(result, range(len(test)), [*zip(texts, found, strict=True)])


def _rewrite(run: Run, drawn: Drawn) -> list[RowText]:
  """Returns the test rows with drawn names, encoded."""
  return [
    text
    if rewrite.overlaps(text)
    else predict.rewritten(run, rewrite.replace(text, *names))
    for text, names in zip(run.texts, drawn.names, strict=True)
  ]


def predict_draws(
  run: Run, rows: Sequence[int], texts: Sequence[Sequence[RowText]]
) -> list[Predictions]:
  """Predicts rows under several rewritings, with one compiled function."""
  every = [text for some in texts for text in some]
  found = predict.predict(run, [*rows] * len(texts), every)
  parts = (np.split(x, len(texts)) for x in (found.gold, found.probabilities))
  return [Predictions(*part) for part in zip(*parts, strict=True)]
