"""Intervals over posts and seeds, compared with closed forms and sklearn."""

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


def test_scores_are_means_over_seeds():
  gold, predicted = system()
  counts = bootstrap.row_counts(gold, predicted)
  found = bootstrap.mean_scores(counts, np.ones(len(gold)))
  names = [f"relation {i}" for i in range(NUM_RELATIONS)]
  seeds = [metrics.score(gold, one, names) for one in predicted]
  for name, value in zip(bootstrap.SCORES, found, strict=True):
    assert value == pytest.approx(np.mean([one[name] for one in seeds]))


@pytest.mark.parametrize("relation", range(NUM_RELATIONS))
def test_scores_of_one_relation_match_sklearn(relation):
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


def test_zero_over_zero_is_0():
  counts = bootstrap.row_counts(np.zeros(3, int), np.zeros((1, 3), int))
  found = bootstrap.mean_scores(counts, np.ones(3))
  np.testing.assert_array_equal(found, [1, 0, 0, 0])


def test_interval_of_a_mean_is_normal():
  gold, predicted = system(rows=2000, seeds=1)
  counts = bootstrap.row_counts(gold, predicted)
  low, high, _ = bootstrap.interval(
    lambda drawn: bootstrap.mean_scores(counts, drawn), np.arange(len(gold))
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
      lambda drawn: bootstrap.mean_scores(counts, drawn),
      np.arange(len(gold)),
      seed=seed,
    )[0]

  np.testing.assert_array_equal(low(0), low(0))
  assert np.any(low(0) != low(1))


def test_a_paired_difference_is_narrower_than_two_scores_apart():
  gold, predicted = system(rows=1000, seeds=1)
  # Differs in at most one row of fifty.
  other = predicted.copy()
  other[:, ::50] = gold[::50]
  a, b = (bootstrap.row_counts(gold, x) for x in (predicted, other))

  def width(statistic):
    low, high, _ = bootstrap.interval(statistic, np.arange(len(gold)))
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


@pytest.mark.silent_input
def test_rows_of_one_picture_are_one_post():
  names = ["a", "b", "a", "", None, "1", 1, 0, 0]
  found = bootstrap.number_posts(names).tolist()
  assert found == [0, 1, 0, 2, 3, 4, 5, 6, 6]


def test_rows_of_one_post_are_drawn_together():
  posts, draws = np.array([0, 1, 1, 2, 0]), []

  def statistic(drawn):
    draws.append(drawn)
    return drawn.sum(axis=-1)

  bootstrap.interval(statistic, posts)
  drawn = np.concatenate(draws)
  np.testing.assert_array_equal(drawn[:, 0], drawn[:, 4])
  np.testing.assert_array_equal(drawn[:, 1], drawn[:, 2])
  np.testing.assert_array_equal(drawn[:, [0, 1, 3]].sum(axis=1), 3)


def test_one_post_raises():
  with pytest.raises(ValueError, match="expected rows of at least 2 posts"):
    bootstrap.interval(lambda drawn: drawn.sum(axis=-1), np.zeros(5, int))


def test_several_seeds_are_drawn():
  weights = []

  def statistic(drawn, *seeds):
    weights.append(seeds)
    return seeds[1] @ [1.0, 2.0, 4.0]

  bootstrap.interval(statistic, np.arange(9), [1, 3])
  alone, three = map(np.concatenate, zip(*weights, strict=True))
  assert (alone == 1).all()
  assert set(three.ravel()) == {0, 0.5, 1}
  means = three @ [1.0, 2.0, 4.0]
  # Unbiased variance of the mean of three numbers.
  assert np.var(means) == pytest.approx(np.var([1, 2, 4], ddof=1) / 3, rel=0.05)


def test_p_values_use_the_smaller_tail():
  values = np.array([[1.0] * 9, [1.0] * 6 + [-1] * 3, [0.0] * 9])
  found = bootstrap._p_value(values)
  np.testing.assert_allclose(found, [2 * 1 / 10, 2 * 4 / 10, 1])


def posts_and_rights(rng, num_posts=150, num_seeds=1):
  """Draws rows of easy and hard posts, by better and worse seeds.

  Returns:
    The post of each row, and int[S, n], 1 where a seed is right.
  """
  posts = np.repeat(np.arange(num_posts), rng.choice([1, 1, 2, 6], num_posts))
  easy = rng.normal(0.6, 0.5, num_posts)[posts]
  skill = rng.normal(0, 0.1, (num_seeds, 1)) if num_seeds > 1 else 0
  right = rng.random((num_seeds, len(posts))) < easy + skill
  return posts, right.astype(int)


def f1_is_covered(seed, truth, by=lambda posts: posts, num_seeds=1, drawn=()):
  """Returns whether the interval contains the true F1."""
  rng = np.random.default_rng(seed)
  posts, right = posts_and_rights(rng, num_seeds=num_seeds)
  counts = bootstrap.row_counts(np.ones(len(posts), int), right)
  low, high, _ = bootstrap.interval(
    lambda *drawn: bootstrap.mean_scores(counts, *drawn)[3], by(posts), drawn
  )
  return low <= truth <= high


def true_f1(num_seeds=1):
  """Returns the mean F1 over many more posts than in the tests."""
  _, right = posts_and_rights(np.random.default_rng(0), 20_000, num_seeds)
  recall = right.mean(axis=1)
  # Every row has the relation, so precision is 1.
  return np.mean(2 * recall / (1 + recall))


def coverage(monkeypatch, *args, times=400, **options):
  monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 299)
  return np.mean([f1_is_covered(i, *args, **options) for i in range(times)])


@pytest.mark.silent_input
def test_intervals_by_posts_have_nominal_coverage(monkeypatch):
  truth = true_f1()
  assert 0.93 <= coverage(monkeypatch, truth, drawn=[1]) <= 0.97
  rows = coverage(
    monkeypatch, truth, by=lambda posts: np.arange(len(posts)), drawn=[1]
  )
  assert rows < 0.85


@pytest.mark.silent_input
def test_intervals_of_several_seeds_cover_other_seeds(monkeypatch):
  truth = true_f1(100)
  options = {"num_seeds": 5, "times": 200}
  assert 0.9 <= coverage(monkeypatch, truth, drawn=[5], **options) <= 0.97
  # Resampling only posts ignores the variance between seeds.
  assert coverage(monkeypatch, truth, drawn=[], **options) < 0.88


def test_a_score_of_one_row_counts():
  counts = bootstrap.row_counts(np.array([1, 0]), np.array([[1, 0]]))
  found = bootstrap.mean_scores(counts, np.ones(2))
  np.testing.assert_allclose(found, [1, 1, 1, 1])


def test_an_interval_is_of_9999_resamples():
  drawn = []

  def spy(times_drawn):
    drawn.append(len(times_drawn))
    return times_drawn[:, 0]

  bootstrap.interval(spy, np.arange(3))
  # scipy also evaluates the observed rows.
  assert sum(drawn) - 9999 in (0, 1)
