"""Scores of conditions over several runs, and their intervals."""

import numpy as np
import pytest

from ifa_jax.analyze.shuffle import summary
from ifa_jax.analyze.shuffle.conditions import Condition, stack
from ifa_jax.statistics import bootstrap

NUM_ROWS, NUM_RUNS, NUM_PERMUTATIONS = 40, 3, 2
GOLD = np.arange(NUM_ROWS) % 4
POSTS = np.arange(NUM_ROWS) // 2


def predictions(seed, share_right, *shape):
  rng = np.random.default_rng(seed)
  wrong = rng.integers(0, 4, (*shape, NUM_ROWS))
  return np.where(rng.random(wrong.shape) < share_right, GOLD, wrong)


STANDARD = Condition("standard", predictions(0, 0.8, NUM_RUNS, 1))
SHUFFLED = Condition(
  "shuffle(test)", predictions(1, 0.2, NUM_RUNS, NUM_PERMUTATIONS), (0, 1)
)


def micro_f1(drawn, predicted):
  """F1 without class 0 of rows that are listed as often as they are drawn."""
  gold, predicted = GOLD[drawn], predicted[drawn]
  right = np.sum((gold == predicted) & (gold != 0))
  return 2 * right / (np.sum(gold != 0) + np.sum(predicted != 0))


def mean_f1(runs, drawn, condition):
  return np.mean(
    [micro_f1(drawn, one) for run in runs for one in condition.predicted[run]]
  )


def test_scores_are_means_over_runs_and_permutations():
  rows = summary.summarise(GOLD, [STANDARD, SHUFFLED], POSTS)
  everything = np.arange(NUM_ROWS)
  for row, condition in zip(rows, (STANDARD, SHUFFLED), strict=True):
    found = row["scores"]["f1"]
    wanted = [mean_f1([run], everything, condition) for run in range(NUM_RUNS)]
    assert found["by_seed"] == pytest.approx(wanted)
    assert found["mean"] == pytest.approx(np.mean(wanted))
  apart = rows[1]["minus_standard"]["f1"]["mean"]
  means = [row["scores"]["f1"]["mean"] for row in rows]
  assert apart == pytest.approx(means[1] - means[0])


def test_a_difference_is_between_the_same_posts_and_runs():
  rng = np.random.default_rng(5)
  differences = []
  for _ in range(3000):
    posts = rng.integers(0, NUM_ROWS // 2, NUM_ROWS // 2)
    drawn = np.concatenate([[2 * post, 2 * post + 1] for post in posts])
    # One fewer than there are: an unbiased variance of their mean.
    runs = rng.integers(0, NUM_RUNS, NUM_RUNS - 1)
    apart = [mean_f1(runs, drawn, x) for x in (SHUFFLED, STANDARD)]
    differences.append(apart[0] - apart[1])
  wanted = np.percentile(differences, [2.5, 97.5])
  (_, row) = summary.summarise(GOLD, [STANDARD, SHUFFLED], POSTS)
  found = row["minus_standard"]["f1"]
  # Twice the Monte Carlo error of either bound.
  np.testing.assert_allclose([found["low"], found["high"]], wanted, atol=0.02)


def test_equal_conditions_do_not_differ_in_any_resample():
  same = STANDARD._replace(name="blank")
  (_, row) = summary.summarise(GOLD, [STANDARD, same], POSTS)
  for apart in row["minus_standard"].values():
    assert max(map(abs, apart.values())) < 1e-15


def test_one_run_is_compared_with_several():
  single = Condition("text only, another run", predictions(2, 0.5, 1, 1))
  (standard, row) = summary.summarise(GOLD, [STANDARD, single], POSTS)
  found = row["minus_standard"]["f1"]
  means = [x["scores"]["f1"]["mean"] for x in (standard, row)]
  assert found["mean"] == pytest.approx(means[1] - means[0])
  assert found["low"] < found["mean"] < found["high"]


def test_conditions_of_runs_are_stacked():
  runs = [[STANDARD._replace(predicted=x[None])] for x in STANDARD.predicted]
  (found,) = stack(runs)
  np.testing.assert_array_equal(found.predicted, STANDARD.predicted)
  assert bootstrap.row_counts(GOLD, found.predicted[:, 0]).shape == (
    NUM_RUNS,
    NUM_ROWS,
    4,
  )
