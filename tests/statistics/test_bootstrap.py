"""Intervals over rows, against closed forms and scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics

from ifa_jax.statistics import bootstrap, metrics

NUM_RELATIONS = 5


def system(seed=0, rows=300, seeds=3):
  """Returns gold relations and the predictions of a mediocre system."""
  rng = np.random.default_rng(seed)
  gold = rng.integers(0, NUM_RELATIONS, rows)
  guessed = rng.integers(0, NUM_RELATIONS, (seeds, rows))
  return gold, np.where(rng.random((seeds, rows)) < 0.6, gold, guessed)


def test_scores_are_those_of_each_seed_averaged():
  gold, predicted = system()
  counts = bootstrap.row_counts(gold, predicted)
  found = bootstrap.mean_scores(counts, np.ones(len(gold)))
  names = [f"relation {i}" for i in range(NUM_RELATIONS)]
  seeds = [metrics.score(gold, one, names) for one in predicted]
  for name, value in zip(bootstrap.SCORES, found, strict=True):
    assert value == pytest.approx(np.mean([one[name] for one in seeds]))


@pytest.mark.parametrize("relation", range(NUM_RELATIONS))
def test_scores_of_one_relation_are_scikit_learns(relation):
  gold, predicted = system(seeds=1)
  counts = bootstrap.row_counts(gold, predicted, relation)
  _, *found = bootstrap.mean_scores(counts, np.ones(len(gold)))
  wanted = sklearn.metrics.precision_recall_fscore_support(
    gold, predicted[0], labels=[relation]
  )
  np.testing.assert_allclose(found, np.concatenate(wanted[:3]))


def test_a_row_that_is_drawn_twice_counts_twice():
  gold, predicted = system(rows=4, seeds=2)
  drawn = np.array([[2.0, 0, 1, 1], [0, 3, 1, 0]])
  counts = bootstrap.row_counts(gold, predicted)
  found = bootstrap.mean_scores(counts, drawn)
  assert found.shape == (4, 2)
  for i, rows in enumerate([[0, 0, 2, 3], [1, 1, 1, 2]]):
    counts = bootstrap.row_counts(gold[rows], predicted[:, rows])
    wanted = bootstrap.mean_scores(counts, np.ones(4))
    np.testing.assert_allclose(found[:, i], wanted)


def test_nothing_of_nothing_is_0():
  counts = bootstrap.row_counts(np.zeros(3, int), np.zeros((1, 3), int))
  found = bootstrap.mean_scores(counts, np.ones(3))
  np.testing.assert_array_equal(found, [1, 0, 0, 0])


def test_an_interval_of_a_mean_is_the_normal_one():
  gold, predicted = system(rows=2000, seeds=1)
  counts = bootstrap.row_counts(gold, predicted)
  low, high = bootstrap.interval(
    lambda drawn: bootstrap.mean_scores(counts, drawn), len(gold)
  )
  share = np.mean(gold == predicted[0])
  error = 1.96 * np.sqrt(share * (1 - share) / len(gold))
  assert low[0] == pytest.approx(share - error, abs=2e-3)
  assert high[0] == pytest.approx(share + error, abs=2e-3)
  assert np.all(low < high)


def test_intervals_are_reproducible_and_follow_the_seed():
  gold, predicted = system(rows=50)
  counts = bootstrap.row_counts(gold, predicted)

  def low(seed):
    return bootstrap.interval(
      lambda drawn: bootstrap.mean_scores(counts, drawn), len(gold), seed
    ).low

  np.testing.assert_array_equal(low(0), low(0))
  assert np.any(low(0) != low(1))


def test_a_paired_difference_is_narrower_than_two_scores_apart():
  gold, predicted = system(rows=1000, seeds=1)
  # The same system, but for one row in fifty.
  other = predicted.copy()
  other[:, ::50] = gold[::50]
  a, b = (bootstrap.row_counts(gold, x) for x in (predicted, other))

  def width(statistic):
    low, high = bootstrap.interval(statistic, len(gold))
    return (high - low)[3]

  alone = width(lambda drawn: bootstrap.mean_scores(a, drawn))
  paired = width(
    lambda drawn: (
      bootstrap.mean_scores(b, drawn) - bootstrap.mean_scores(a, drawn)
    )
  )
  assert paired < alone / 3
  same = width(lambda drawn: bootstrap.mean_scores(a, drawn) * 0)
  assert same == 0


def test_a_score_of_one_row_counts():
  counts = bootstrap.row_counts(np.array([1, 0]), np.array([[1, 0]]))
  found = bootstrap.mean_scores(counts, np.ones(2))
  np.testing.assert_allclose(found, [1, 1, 1, 1])


def test_an_interval_is_of_9999_resamples():
  drawn = []

  def spy(times_drawn):
    drawn.append(len(times_drawn))
    return times_drawn[:, 0]

  bootstrap.interval(spy, num_rows=3)
  # scipy asks for the statistic of the rows themselves as well.
  assert sum(drawn) - 9999 in (0, 1)
