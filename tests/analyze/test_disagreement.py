"""Rows that two systems predict differently, and McNemar's test of them."""

import itertools

import numpy as np
import pytest
import two_systems

from ifa_jax.analyze.compare import command, disagreement
from ifa_jax.statistics import systems

pytestmark = pytest.mark.slow


def test_rows_are_counted_by_who_is_right(tmp_path):
  gold = ["None"] * 10
  first, second = ["None"] * 7 + ["/a"] * 3, ["None"] * 2 + ["/a"] * 8
  first[9], second[9] = "/a", "None"
  (pair,) = two_systems.compared(tmp_path, gold, first, second)["pairs"]
  assert pair["rows"] == {
    "both_right": 2,
    "only_first_right": 5,
    "only_second_right": 1,
    "both_wrong": 2,
  }
  # Of six fair coins at most one, or at least five, show heads.
  assert pair["mcnemar_p"] == pytest.approx(2 * (1 + 6) / 2**6)


def test_counts_of_seeds_are_means_over_their_pairs(tmp_path):
  words = [
    two_systems.write(tmp_path, name, preds)
    for name, preds in two_systems.PREDS.items()
  ]
  (pair,) = command.compare(systems.read(words))["pairs"]
  wanted = [
    [
      sum(
        (x == g, y == g) == who
        for g, x, y in zip(two_systems.GOLD, one, two, strict=True)
      )
      for who in itertools.product([True, False], repeat=2)
    ]
    for one, two in itertools.product(
      two_systems.PREDS["a"], two_systems.PREDS["b"]
    )
  ]
  found = list(pair["rows"].values())
  assert found == pytest.approx(list(np.mean(wanted, axis=0)))
  assert sum(found) == pytest.approx(two_systems.NUM_ROWS)
  assert pair["mcnemar_p"] is None


@pytest.mark.parametrize(
  ("first", "second", "p"), [(0, 0, 1.0), (3, 3, 1.0), (0, 5, 1 / 16)]
)
def test_mcnemars_test_is_exact(first, second, p):
  apart = np.array([1] * first + [-1] * second + [0], int)
  assert disagreement.mcnemar(apart) == pytest.approx(p)


@pytest.mark.silent_input
def test_mcnemars_test_flips_whole_posts():
  apart = np.array([3, 1, 1, -2, 2, 0])
  sums = [
    abs(np.dot(signs, apart)) for signs in itertools.product([1, -1], repeat=6)
  ]
  wanted = np.mean(np.array(sums) >= abs(apart.sum()))
  assert disagreement.mcnemar(apart) == pytest.approx(wanted)
  # With a single post, either sign is as likely.
  assert disagreement.mcnemar(np.array([21])) == 1


def test_rows_of_disagreement_hold_every_prediction(tmp_path):
  gold, same = ["None", "/a", "/a"], {"text": "Ann", "head": "A", "tail": "B"}
  words = [
    two_systems.write(
      tmp_path, "x", [["None", "/a", "/b"], ["None", "/a", "/b"]], gold
    ),
    two_systems.write(
      tmp_path, "y", [["None", "None", "/b"]], gold, probability=0.5, **same
    ),
  ]
  (row,) = disagreement.rows(systems.read(words))
  unsure = {"pred": "/a", "probability": None, "protocol": "clean"}
  assert row == {
    "id": "test/1",
    "gold": "/a",
    "predictions": {
      "x": [unsure, unsure],
      "y": [{"pred": "None", "probability": 0.5, "protocol": "clean"}],
    },
    **same,
  }
