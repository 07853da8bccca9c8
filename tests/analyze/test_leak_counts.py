"""What numbers and queries tell, from counts of rows alone."""

import math

import numpy as np
import pytest

from ifa_jax.analyze.leak import counts as leak_counts
from ifa_jax.analyze.leak import queries, verdicts
from ifa_jax.analyze.leak.counts import Counted, Threshold
from ifa_jax.data import schema


def counted(rows):
  """Makes splits of {(number, has a relation): rows}, the same in all."""
  pairs = [pair for pair, times in rows.items() for _ in range(times)]
  numbers, has_relation = zip(*pairs, strict=True)
  split = Counted(np.array(numbers), np.array(has_relation))
  return dict.fromkeys(schema.SPLITS, split)


def test_fewer_crops_may_tell_a_relation():
  found = leak_counts.measure(counted({(3, False): 90, (1, True): 60}), 0.05)
  assert found["threshold"] == "at most 1"
  assert found["finding"]["test"]["f1"] == 1
  assert found["held_out"]["verdict"] == verdicts.LEAK


def test_a_number_between_others_may_tell_a_relation():
  rows = {(1, False): 50, (2, True): 60, (3, False): 50}
  found = leak_counts.measure(counted(rows), 0.05)
  assert found["accuracy"]["test"] == {"rule": 1, "majority": 100 / 160}
  assert found["held_out"]["verdict"] == verdicts.LEAK


def test_relations_may_be_the_majority():
  rows = {(2, False): 50, (2, True): 10, (3, True): 100}
  found = leak_counts.measure(counted(rows), 0.05)
  assert found["accuracy"]["test"] == {"rule": 150 / 160, "majority": 110 / 160}
  test = found["held_out"]
  assert (test["corrected"], test["spoilt"]) == (100, 20)
  assert test["verdict"] == verdicts.LEAK


def test_the_exact_test_is_mcnemars():
  rows = {(2, False): 100, (3, True): 30, (3, False): 20, (2, True): 50}
  test = leak_counts.measure(counted(rows), 0.05)["held_out"]
  # Twice, for val and test.
  assert (test["corrected"], test["spoilt"], test["errors"]) == (60, 40, 160)
  chance = sum(math.comb(100, k) for k in range(60, 101)) / 2**100
  assert test["p_value"] == pytest.approx(chance)
  # More than tolerated, and yet it may be chance.
  assert test["share"] == 20 / 160
  assert chance > verdicts.ALPHA
  assert test["verdict"] == verdicts.TOO_FEW


@pytest.mark.parametrize(
  ("tolerance", "verdict"),
  [(0.05, verdicts.LEAK), (0.11, verdicts.TOO_FEW), (0.2, verdicts.NO_LEAK)],
)
def test_the_tolerance_is_a_share_of_errors(tolerance, verdict):
  rows = {(2, False): 600, (2, True): 360, (3, True): 40}
  test = leak_counts.measure(counted(rows), tolerance)["held_out"]
  assert test["share"] == 0.1
  assert test["verdict"] == verdict


def test_a_rule_is_tried_on_rows_that_it_has_not_seen():
  splits = counted({(2, False): 60, (3, True): 40})
  flipped = Counted(splits["val"].numbers, ~splits["val"].has_relation)
  splits |= {"val": flipped, "test": flipped}
  test = leak_counts.measure(splits, 0.05)["held_out"]
  # Twice, for val and test.
  assert (test["corrected"], test["spoilt"]) == (0, 2 * 40)
  assert test["verdict"] == verdicts.NO_LEAK


def test_one_class_alone_decides_nothing():
  splits = counted({(2, False): 60, (3, False): 40})
  found = leak_counts.measure(splits, 0.05)
  assert found["held_out"]["verdict"] == verdicts.TOO_FEW
  assert found["finding"]["test"] == {"precision": 0, "recall": 0, "f1": 0}


def test_numbers_that_train_lacks_get_the_majority_class():
  train = counted({(2, False): 60, (4, True): 40})["train"]
  rule = leak_counts.learn(train)
  assert rule.predict(np.array([2, 3, 4, 5])).tolist() == [0, 0, 1, 0]
  assert leak_counts.best_threshold(train) == Threshold(True, 2)


@pytest.mark.parametrize(
  ("relation", "types"),
  [
    ("/per/org/member_of", ("person", "organization")),
    ("/loc/loc/contain", ("location", "location")),
    ("/per/misc/present_in", ("person",)),
    ("/misc/loc/held_on", ("location",)),
    ("/misc/misc/part_of", ()),
    ("None", ()),
    ("none", ()),
  ],
)
def test_types_are_those_of_the_arguments(relation, types):
  assert queries.gold_types(relation) == types


@pytest.mark.parametrize(
  ("query", "tail", "types"),
  [
    ("Jungkook BTS person organization", "BTS", ["person", "organization"]),
    ("Rihanna Dolce&amp;Gabbana person", "Dolce&amp;Gabbana", ["person"]),
    ("London Jungkook", "@Jungkook", []),
    # Only what stands behind the names counts.
    ("person Rome", "Rome", []),
    ("Bob my location location", "my location", ["location"]),
    ("Bob my location", "my location", []),
  ],
)
def test_types_are_read_behind_the_names(query, tail, types):
  assert list(queries.query_types(query, tail)) == types


@pytest.mark.parametrize(
  ("equal", "rows", "verdict"),
  [
    (500, 500, verdicts.LEAK),
    (20, 20, verdicts.TOO_FEW),
    (70, 100, verdicts.NO_LEAK),
    (0, 0, verdicts.TOO_FEW),
  ],
)
def test_queries_leak_if_they_are_right_too_often(equal, rows, verdict):
  counts = {"typed_equal": equal, "typed_rows": rows}
  assert queries.judge([counts])["verdict"] == verdict
