"""Guesses from counts of posts against a plain computation, row by row."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ifa_jax.statistics import counts_only
from ifa_jax.statistics.counts_only import Post, Row

RELATIONS = ("None", "self", "awarded")


def random_rows(seed, num_posts=60):
  """Returns rows of posts with all pairs of entities and objects."""
  rng = np.random.default_rng(seed)
  rows = []
  for post in range(num_posts):
    entities, objects = rng.integers(1, 4, 2).tolist()
    chances = [0.8, 0.1, 0.1] if entities * objects > 2 else [0.1, 0.6, 0.3]
    for entity in range(entities):
      span = frozenset({(entity, entity + 1)})
      drawn = rng.choice(RELATIONS, objects, p=chances)
      rows += [Row(f"{post}.jpg", span, objects, name) for name in drawn]
  return rows


def plain_key(row, rows):
  spans = {
    span for other in rows if other.post == row.post for span in other.entities
  }
  return len(spans), row.objects


def plain_guesses(train, rows):
  """Returns the majority relation of train's rows with a row's counts."""

  def majority(listed):
    names = [row.relation for row in listed]
    # The first of equally frequent ones.
    return max(dict.fromkeys(names), key=names.count)

  alike = [
    [x for x in train if plain_key(x, train) == plain_key(row, rows)]
    for row in rows
  ]
  return [majority(found or train) for found in alike], majority(train)


def test_scores_are_those_of_scikit_learn():
  train, test = random_rows(0, 20), random_rows(1)
  seen = {plain_key(row, train) for row in train}
  assert {plain_key(row, test) for row in test} - seen
  guessed, majority = plain_guesses(train, test)
  assert len({*guessed}) > 1
  found = counts_only.score({"train": train, "test": test})
  assert found.keys() == {"test"}
  gold = [row.relation for row in test]
  for name, expected in (
    ("counts only", guessed),
    ("majority class", [majority] * len(gold)),
  ):
    values = sklearn_metrics.precision_recall_fscore_support(
      gold, expected, labels=RELATIONS[1:], average="micro", zero_division=0
    )
    assert list(found["test"][name].values()) == pytest.approx(
      [sklearn_metrics.accuracy_score(gold, expected), *values[:3]]
    )


def test_counts_of_posts():
  rows = [
    Row("a.jpg", frozenset({(0, 2)}), 2, "None"),
    Row("b.jpg", frozenset(), 3, "self"),
    Row("a.jpg", frozenset({(0, 2), (3, 4)}), 2, "self"),
  ]
  both = Post(2, 2, 2)
  assert counts_only.posts(rows) == [both, Post(0, 3, 1), both]


@pytest.mark.silent_input
def test_a_part_of_the_text_is_no_object():
  words = ["object", "Ann", "[object]"]
  spans = [(0, 1), (2, 3), (1, 3)]
  found = counts_only.in_text(words, spans, "[object]")
  assert found == {(0, 1), (1, 3)}
