"""Scores of rows as they are and rewritten, from predicted ids."""

import numpy as np
import pytest

from ifa_jax.analyze.names import report, scores
from ifa_jax.analyze.names.scores import Answers
from ifa_jax.statistics import metrics


@pytest.fixture(scope="module", name="answers")
def answers_of_random_models():
  rng = np.random.default_rng(0)
  gold = rng.integers(0, 3, 60)
  wrong = rng.random((4, 60)) < np.array([[0.2], [0.5], [0.6], [0.4]])
  predicted = np.where(wrong, rng.integers(0, 3, (4, 60)), gold)
  return Answers(gold, predicted[0], predicted[1:], np.arange(60) // 2)


def test_scores_are_means_over_draws_next_to_the_originals(answers):
  found = scores.compare(answers, {})
  old = metrics.score(answers.gold, answers.original, "abc")
  new = [metrics.score(answers.gold, x, "abc") for x in answers.replaced]
  for name, one in found["scores"].items():
    assert one["support"] == 60
    assert one["original"] == pytest.approx(old[name])
    assert one["by_seed"] == pytest.approx([x[name] for x in new])
    assert one["replaced"] == pytest.approx(np.mean([x[name] for x in new]))
    apart = one["replaced"] - one["original"]
    assert one["difference"] == pytest.approx(apart)
    assert one["low"] < one["difference"] < one["high"]
    assert one["excludes_0"] == (one["high"] < 0)
  assert found["scores"]["accuracy"]["excludes_0"]


def test_groups_are_accuracies_of_their_rows(answers):
  groups = {"first": np.arange(60) < 20, "none": np.zeros(60, bool)}
  (found,) = scores.compare(answers, groups)["groups"].items()
  name, one = found
  assert (name, one["support"]) == ("first", 20)
  right = answers.replaced[:, :20] == answers.gold[:20]
  assert one["replaced"] == pytest.approx(right.mean())
  assert one["by_seed"] == pytest.approx(right.mean(axis=1))


def test_changed_predictions_are_counted_over_draws(answers):
  changed = scores.compare(answers, {})["changed"]
  differs = [x != answers.original for x in answers.replaced]
  assert changed["all rows"] == pytest.approx(np.mean(differs))
  related = np.array(differs)[:, answers.gold > 0]
  assert changed["rows with a relation"] == pytest.approx(related.mean())


def test_equal_predictions_differ_by_nothing(answers):
  same = answers._replace(replaced=answers.original[None])
  found = scores.compare(same, {})
  assert {*found["changed"].values()} == {0.0}
  for one in found["scores"].values():
    assert one["low"] == one["difference"] == one["high"] == 0


def test_the_first_line_shows_the_protocol(answers):
  counts = {"n": 60, "posts": 30, "unchanged": 2, "left_out": {"bad": 3}}
  result = {"protocol": "clean", "run": "r", "rewriting": "x", "seeds": [0, 1]}
  result |= counts | scores.compare(answers, {"some": answers.gold == 1})
  lines = report.head(result)
  assert lines[0] == "protocol: clean"
  assert "bad: 3" in lines
  assert lines[-1] == "* where the interval of a difference excludes 0"
  assert [len(x.lines) for x in report.tables_of(result)] == [4, 1]
