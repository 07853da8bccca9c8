"""Scores compared with scikit-learn and with published results."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ifa_jax.statistics import metrics

RELATIONS = ["None", "friends", "spouse", "member_of", "capital_of"]


def sklearn_scores(gold, predicted, labels, average):
  precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
    gold, predicted, labels=labels, average=average, zero_division=0
  )
  return {"precision": precision, "recall": recall, "f1": f1}


def random_ids(seed):
  rng = np.random.default_rng(seed)
  gold = rng.integers(0, len(RELATIONS), 60)
  return gold, np.where(rng.random(60) < 0.5, gold, rng.permutation(gold))


CASES = {
  "random": random_ids(0),
  "one relation never occurs": (random_ids(1)[0] % 4, random_ids(2)[1]),
  "one relation is never predicted": (random_ids(1)[0], random_ids(2)[1] % 4),
  "no predictions": (random_ids(3)[0], np.zeros(60, int)),
  "no gold": (np.zeros(60, int), random_ids(4)[0]),
  "neither": (np.zeros(5, int), np.zeros(5, int)),
  "all wrong": (np.full(5, 1), np.full(5, 2)),
  "one row": (np.array([3]), np.array([3])),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_scores_match_sklearn(case):
  gold, predicted = case
  found = metrics.score(gold, predicted, RELATIONS)
  names = ("precision", "recall", "f1")
  relations = range(1, len(RELATIONS))
  micro = sklearn_scores(gold, predicted, relations, "micro")
  assert {k: found[k] for k in names} == pytest.approx(micro)
  assert metrics.micro_f1(gold, predicted) == pytest.approx(micro)
  assert found["accuracy"] == pytest.approx(np.mean(gold == predicted))
  each = sklearn_scores(gold, predicted, range(len(RELATIONS)), None)
  for i, name in enumerate(RELATIONS):
    row = found["per_relation"][name]
    assert {k: row[k] for k in names} == pytest.approx(
      {k: each[k][i] for k in names}
    )
    assert row["support"] == np.sum(gold == i)
    assert row["predicted"] == np.sum(predicted == i)
  occurring = sorted({*gold} - {metrics.NONE})
  macro = (
    sklearn_scores(gold, predicted, occurring, "macro")["f1"]
    if occurring
    else 0.0
  )
  assert found["macro_f1"] == pytest.approx(macro)
  matrix = sklearn_metrics.confusion_matrix(
    gold, predicted, labels=range(len(RELATIONS))
  )
  assert found["confusion"] == matrix.tolist()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_halves_of_the_task(case):
  gold, predicted = case
  found = metrics.score(gold, predicted, RELATIONS)
  finding = sklearn_scores(gold > 0, predicted > 0, [True], "micro")
  assert found["finding"] == pytest.approx(finding)
  both = (gold > 0) & (predicted > 0)
  right = np.sum(gold[both] == predicted[both])
  assert found["naming"] == {
    "n": both.sum(),
    "accuracy": right / both.sum() if both.any() else 0.0,
  }


def test_scores_are_plain_json_values():
  found = metrics.score(*random_ids(0), RELATIONS)
  assert json.loads(json.dumps(found)) == found


# Gold relations: (right, wrong, missed); gold None: (right, false positive).
PUBLISHED = {
  "MTB": ((417, 67, 156), (799, 175), (75.34, 63.28, 65.16, 64.20)),
  "MEGA": ((438, 58, 144), (791, 183), (76.15, 64.51, 68.44, 66.41)),
  "objects": ((517, 109, 14), (974, 0), (92.38, 82.59, 80.78, 81.67)),
}


@pytest.mark.parametrize("row", PUBLISHED.values(), ids=PUBLISHED)
def test_published_counts_give_the_published_scores(row):
  (right, wrong, missed), (right_none, invented), figures = row
  kinds = [(1, 1), (1, 2), (1, 0), (0, 0), (0, 1)]
  counts = [right, wrong, missed, right_none, invented]
  gold, predicted = np.repeat(kinds, counts, axis=0).T
  assert len(gold) == 1614
  found = metrics.score(gold, predicted, RELATIONS)
  names = ("accuracy", "precision", "recall", "f1")
  assert [round(100 * found[name], 2) for name in names] == list(figures)
