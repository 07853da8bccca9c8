"""The information in numbers about labels, from counts of rows."""

import math

import numpy as np
import pytest

from ifa_jax.analyze.leak import counts as leak_counts
from ifa_jax.analyze.leak import information
from ifa_jax.analyze.leak.information import Sample
from ifa_jax.data import schema


def rows(numbers, relations, posts=None):
  """Returns rows, each of a post of its own if no posts are given."""
  posts = np.arange(len(numbers)) if posts is None else posts
  return Sample(np.array(numbers), np.array(relations), np.array(posts))


def counted(times):
  """Makes splits of {(number, relation): rows}, the same in all."""
  pairs = [pair for pair, number in times.items() for _ in range(number)]
  return dict.fromkeys(schema.SPLITS, rows(*zip(*pairs, strict=True)))


def drawn(draw, sizes=(4000, 500, 600), seed=0):
  """Makes splits of generators; `draw` takes one and a number of rows."""
  rng = np.random.default_rng(seed)
  return {
    split: draw(rng, size)
    for split, size in zip(schema.SPLITS, sizes, strict=True)
  }


def verdict_of(splits, tolerance=0.05):
  return leak_counts.measure(splits, tolerance)["verdict"]


def test_fewer_crops_may_reveal_a_relation():
  found = leak_counts.measure(counted({(3, 0): 90, (1, 1): 60}), 0.05)
  assert found["threshold"] == "at most 1"
  assert found["finding"]["test"]["f1"] == 1
  assert found["held_out"]["verdict"] == information.LEAK


def test_a_number_between_others_may_reveal_a_relation():
  times = {(1, 0): 50, (2, 1): 60, (3, 0): 50}
  found = leak_counts.measure(counted(times), 0.05)
  assert found["accuracy"]["test"] == {"rule": 1, "majority": 100 / 160}
  assert found["held_out"]["verdict"] == information.LEAK


def test_relations_may_be_the_majority():
  times = {(2, 0): 50, (2, 1): 10, (3, 1): 100}
  found = leak_counts.measure(counted(times), 0.05)
  assert found["accuracy"]["test"] == {"rule": 150 / 160, "majority": 110 / 160}
  assert found["held_out"]["verdict"] == information.LEAK


@pytest.mark.silent_input
def test_a_number_that_flips_no_majority_may_be_a_leak():
  """A third of the rows without a relation have a 1, all others a 0."""

  def draw(rng, size):
    relations = rng.choice(5, size, p=[0.52, 0.12, 0.12, 0.12, 0.12])
    planted = (relations == 0) & (rng.random(size) < 0.33)
    return rows(planted.astype(int), relations)

  splits = drawn(draw)
  found = leak_counts.measure(splits, 0.05)
  finding = found["held_out"]["finding"]
  chances = [0.52 * 0.33, 1 - 0.52 * 0.33]
  left = entropy(0.48 / chances[1]) * chances[1]
  wanted = 1 - left / entropy(0.48)
  assert finding["share"] == pytest.approx(wanted, abs=0.02)
  assert finding["open"] == pytest.approx(entropy(0.48), abs=0.02)
  assert finding["verdict"] == information.LEAK
  assert found["held_out"]["naming"]["verdict"] == information.NO_LEAK


def entropy(p):
  return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.silent_input
def test_a_number_may_reveal_which_relation_a_row_has():
  """As many of each number with and without a relation; it separates two."""

  def draw(rng, size):
    numbers, related = rng.integers(0, 2, (2, size))
    second = np.where(rng.random(size) < 0.2, 1 - numbers, numbers)
    return rows(numbers, related * (1 + second))

  found = leak_counts.measure(drawn(draw), 0.05)["held_out"]
  assert found["finding"]["verdict"] == information.NO_LEAK
  naming = found["naming"]
  assert naming["share"] == pytest.approx(1 - entropy(0.2), abs=0.05)
  assert (naming["verdict"], found["verdict"]) == (information.LEAK,) * 2


@pytest.mark.silent_input
def test_a_number_that_few_rows_have_may_be_certain():
  """One row in ten of a single relation has 7, no other row does."""

  def draw(rng, size):
    relations = rng.integers(0, 4, size)
    return rows(7 * ((relations == 3) & (rng.random(size) < 0.5)), relations)

  found = leak_counts.measure(drawn(draw), 0.05)["held_out"]
  assert found["naming"]["verdict"] == information.LEAK


@pytest.mark.silent_input
def test_posts_that_share_all_are_one_piece_of_evidence():
  """Ten rows of a post have its number and its relation, by chance."""

  def draw(rng, size):
    posts = np.arange(size) // 10
    numbers, relations = rng.integers(0, 2, (2, size // 10))
    return rows(numbers[posts], relations[posts], posts)

  cried = {"posts": 0, "rows": 0}
  for seed in range(30):
    splits = drawn(draw, (400, 200, 200), seed)
    apart = {
      name: split._replace(posts=np.arange(len(split.posts)))
      for name, split in splits.items()
    }
    for name, made in (("posts", splits), ("rows", apart)):
      found = leak_counts.measure(made, 0)["held_out"]["finding"]
      cried[name] += found["p_value"] <= 0.05
  assert cried["posts"] <= 4
  assert cried["rows"] >= 8


def test_numbers_without_meaning_are_no_leak_at_the_stated_rate():
  def draw(rng, size):
    return rows(rng.integers(0, 3, size), rng.integers(0, 4, size))

  found = [
    leak_counts.measure(drawn(draw, (200, 60, 60), seed), 0)
    for seed in range(100)
  ]
  tests = [
    [one["held_out"], *(one["within"][split] for split in schema.SPLITS)]
    for one in found
  ]
  for place in zip(*tests, strict=True):
    for question in leak_counts.QUESTIONS:
      p_values = np.array([one[question]["p_value"] for one in place])
      for level in (0.05, 0.2, 0.5):
        error = 3 * math.sqrt(level * (1 - level) / 100)
        assert abs(np.mean(p_values <= level) - level) < error


@pytest.mark.silent_input
@pytest.mark.parametrize("split", schema.SPLITS)
def test_a_leak_in_one_split_is_found(split):
  """Numbers follow the relation in this split and mean nothing elsewhere."""

  def draw(rng, size):
    return rows(rng.integers(2, 4, size), rng.integers(0, 3, size))

  splits = drawn(draw)
  planted = np.where(splits[split].labels > 0, 3, 2)
  splits[split] = splits[split]._replace(numbers=planted)
  found = leak_counts.measure(splits, 0.05, information.ALPHA / 8)
  assert found["held_out"]["verdict"] != information.LEAK
  verdicts = {
    name: tests["finding"]["verdict"] for name, tests in found["within"].items()
  }
  assert {n for n, v in verdicts.items() if v == information.LEAK} == {split}
  assert found["verdict"] == information.LEAK


def test_a_split_is_cross_validated_over_posts():
  """Compares the gains with those of a loop over folds."""
  rng = np.random.default_rng(0)
  posts = np.sort(rng.integers(0, 40, 90))
  posts = np.unique(posts, return_inverse=True)[1]
  sample = rows(rng.integers(0, 3, 90), rng.integers(0, 2, 90), posts)
  found = information.judge(sample, None, 2, 0.05, 0.01)
  told = left = 0
  for fold in range(5):
    learned = posts % 5 != fold
    base = (np.bincount(sample.labels[learned]) + 1) / (learned.sum() + 2)
    for row in np.flatnonzero(~learned):
      number, label = sample.numbers[row], sample.labels[row]
      alike = sample.labels[learned & (sample.numbers == number)]
      chance = (np.sum(alike == label) + 2 * base[label]) / (len(alike) + 2)
      told += math.log2(chance / base[label])
      left -= math.log2(base[label])
  assert found["share"] == pytest.approx(told / left)


@pytest.mark.parametrize(
  ("tolerance", "verdict"),
  [
    (0.05, information.LEAK),
    (0.06, information.TOO_FEW),
    (0.2, information.NO_LEAK),
  ],
)
def test_the_tolerance_is_a_share_of_bits(tolerance, verdict):
  splits = counted({(2, 0): 600, (2, 1): 360, (3, 1): 40})
  found = leak_counts.measure(splits, tolerance)["held_out"]["finding"]
  # 960 rows with a chance of 0.375, and 40 that are certain.
  wanted = 1 - 0.96 * entropy(0.375) / entropy(0.4)
  assert found["share"] == pytest.approx(wanted, abs=0.01)
  assert found["verdict"] == verdict


def test_information_is_measured_on_rows_not_learned_from():
  splits = counted({(2, 0): 60, (3, 1): 40})
  val = splits["val"]
  flipped = val._replace(labels=1 - val.labels)
  splits |= {"val": flipped, "test": flipped}
  found = leak_counts.measure(splits, 0.05)["held_out"]["finding"]
  assert found["share"] < 0
  assert found["p_value"] == 1
  assert found["verdict"] == information.NO_LEAK


def test_one_class_only_decides_nothing():
  splits = counted({(2, 0): 60, (3, 0): 40})
  found = leak_counts.measure(splits, 0.05)
  assert found["held_out"]["naming"] is None
  assert found["held_out"]["verdict"] == information.TOO_FEW
  assert found["finding"]["test"] == {"precision": 0, "recall": 0, "f1": 0}


def test_few_rows_are_too_few_in_any_case():
  train = counted({(1, 0): 10, (2, 0): 5, (1, 1): 10})
  few = counted({(1, 0): 2, (1, 1): 2})
  assert verdict_of(few | {"train": train["train"]}) == information.TOO_FEW


def test_numbers_that_train_lacks_reveal_nothing():
  splits = counted({(1, 0): 50, (2, 1): 50})
  other = splits["val"]._replace(numbers=splits["val"].numbers + 7)
  splits |= {"val": other, "test": other}
  found = leak_counts.measure(splits, 0.05)["held_out"]["finding"]
  assert found["share"] == 0


def test_numbers_that_train_lacks_get_the_majority_class():
  splits = counted({(2, 0): 60, (4, 1): 40})
  assert leak_counts.learn(splits["train"]) == (False, [4])
  assert leak_counts.best_threshold(splits["train"]) == (True, 2)
  other = rows([2, 3, 4, 5], [0, 0, 1, 0])
  found = leak_counts.measure(splits | {"test": other}, 0.05)
  assert found["accuracy"]["test"]["rule"] == 1
