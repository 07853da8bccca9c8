"""Systems on the same rows, against scikit-learn and resamples by hand."""

import json
import pathlib
import statistics

import numpy as np
import predicted
import pytest
import sklearn.metrics
import two_systems

from ifa_jax.analyze.compare import command
from ifa_jax.statistics import bootstrap, systems

pytestmark = pytest.mark.slow

SEEN = predicted.RELATIONS[1:]


@pytest.fixture(scope="module", name="words")
def words_of_two_systems(tmp_path_factory):
  folder = tmp_path_factory.mktemp("predictions")
  return [
    two_systems.write(folder, name, preds)
    for name, preds in two_systems.PREDS.items()
  ]


@pytest.fixture(scope="module", name="result")
def comparison_of_two_systems(words):
  return command.compare(systems.read(words))


def scikit_scores(gold, pred, labels):
  options = {"labels": labels, "average": "micro", "zero_division": 0}
  found = sklearn.metrics.precision_recall_fscore_support(gold, pred, **options)
  accuracy = sklearn.metrics.accuracy_score(gold, pred)
  return dict(zip(bootstrap.SCORES, (accuracy, *found[:3]), strict=True))


def test_scores_are_scikit_learns_averaged_over_seeds(result):
  for system in result["systems"]:
    wanted = [
      scikit_scores(two_systems.GOLD, p, SEEN)
      for p in two_systems.PREDS[system["name"]]
    ]
    for name, score in system["scores"].items():
      values = [scores[name] for scores in wanted]
      assert score["seeds"] == pytest.approx(values)
      assert score["mean"] == pytest.approx(statistics.fmean(values))
      assert score["deviation"] == pytest.approx(statistics.stdev(values))
      assert score["low"] < score["mean"] < score["high"]


def test_differences_are_the_others_minus_the_first(result):
  first, second = (system["scores"] for system in result["systems"])
  (pair,) = result["pairs"]
  assert (pair["first"], pair["second"]) == ("a", "b")
  for name, found in pair["differences"].items():
    wanted = second[name]["mean"] - first[name]["mean"]
    assert found["difference"] == pytest.approx(wanted)
    # The second is right far more often.
    assert found["difference"] > 0
    assert found["excludes_0"]


def test_f1_by_relation_is_scikit_learns(result):
  (pair,) = result["pairs"]
  found = pair["f1_by_relation"]
  by_support = sorted(SEEN, key=lambda name: -two_systems.GOLD.count(name))
  assert list(found) == ["None", *by_support]
  for name, scores in found.items():
    a, b = (
      statistics.fmean(
        scikit_scores(two_systems.GOLD, p, [name])["f1"]
        for p in two_systems.PREDS[key]
      )
      for key in "ab"
    )
    assert scores["first"] == pytest.approx(a)
    assert scores["second"] == pytest.approx(b)
    assert scores["difference"] == pytest.approx(b - a)
    assert scores["support"] == two_systems.GOLD.count(name)


def test_accuracy_of_none_is_the_share_of_its_rows(result):
  (pair,) = result["pairs"]
  found = pair["none_accuracy"]
  shares = {
    key: statistics.fmean(
      sum(g == p == "None" for g, p in zip(two_systems.GOLD, pred, strict=True))
      / two_systems.GOLD.count("None")
      for pred in preds
    )
    for key, preds in two_systems.PREDS.items()
  }
  assert found["first"] == pytest.approx(shares["a"])
  assert found["second"] == pytest.approx(shares["b"])
  assert found["difference"] == pytest.approx(shares["b"] - shares["a"])
  assert found["support"] == two_systems.GOLD.count("None")


@pytest.fixture(name="draws")
def draws_that_intervals_are_made_from(monkeypatch):
  """A list that fills with how often each row was drawn, and each seed."""
  draws, interval = [], bootstrap.interval

  def spying(statistic, *args):
    def recording(*drawn):
      draws.append(drawn)
      return statistic(*drawn)

    return interval(recording, *args)

  monkeypatch.setattr(bootstrap, "interval", spying)
  return draws


def f1_of_rows(gold, pred, labels):
  """Returns F1 of names [R, n]: over the n rows of each of R draws."""
  right = ((gold == pred) & np.isin(gold, labels)).sum(axis=1)
  given = np.isin(pred, labels).sum(axis=1)
  wanted = np.isin(gold, labels).sum(axis=1)
  return 2 * right / np.maximum(given + wanted, 1)


def test_intervals_are_percentiles_over_the_same_draws(
  words, draws, monkeypatch
):
  monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 999)
  found = command.compare(systems.read(words))
  drawn, *weights = map(np.concatenate, zip(*draws, strict=True))
  drawn, weights = drawn.astype(int), dict(zip("ab", weights, strict=True))
  assert drawn.shape == (999, two_systems.NUM_ROWS)
  rows = np.repeat(
    np.tile(np.arange(two_systems.NUM_ROWS), len(drawn)), drawn.ravel()
  )
  rows = rows.reshape(drawn.shape)
  gold = np.array(two_systems.GOLD)[rows]

  def f1(name, labels):
    seeds = [
      f1_of_rows(gold, np.array(p)[rows], labels)
      for p in two_systems.PREDS[name]
    ]
    return np.sum(weights[name].T * seeds, axis=0)

  def check(interval, values):
    bounds = [interval["low"], interval["high"]]
    np.testing.assert_allclose(bounds, np.percentile(values, [2.5, 97.5]))

  for system in found["systems"]:
    check(system["scores"]["f1"], f1(system["name"], SEEN))
  (pair,) = found["pairs"]
  check(pair["differences"]["f1"], f1("b", SEEN) - f1("a", SEEN))
  for name, interval in pair["f1_by_relation"].items():
    check(interval, f1("b", [name]) - f1("a", [name]))


def test_every_pair_is_with_the_first(tmp_path):
  preds = [*two_systems.PREDS["a"], *two_systems.PREDS["b"]]
  found = two_systems.compared(tmp_path, two_systems.GOLD, *preds)
  names = [(pair["first"], pair["second"]) for pair in found["pairs"]]
  assert names == [("s0", f"s{i}") for i in range(1, 5)]
  for pair, pred in zip(found["pairs"], preds[1:], strict=True):
    apart = two_systems.compared(tmp_path, two_systems.GOLD, preds[0], pred)[
      "pairs"
    ][0]
    assert pair == apart | {"second": pair["second"]}


def test_rows_are_aligned_by_id(tmp_path, words, result):
  turned = []
  for word in words:
    name, paths = systems.parse(word)
    for i, path in enumerate(paths):
      lines = pathlib.Path(path).read_text().splitlines()
      # Each file in an order of its own; the first one's is that of the rows.
      order = np.random.default_rng(i).permutation(two_systems.NUM_ROWS)
      if (name, i) != ("a", 0):
        lines = [lines[row] for row in order]
      paths[i] = tmp_path / pathlib.Path(path).name
      paths[i].write_text("\n".join(lines))
    turned.append(f"{name}={','.join(map(str, paths))}")
  found = command.compare(systems.read(turned))
  for here, there in zip(found["systems"], result["systems"], strict=True):
    here["paths"] = there["paths"]
  assert found == result


def test_systems_are_checked_however_they_were_read(tmp_path):
  read = systems.read(
    [two_systems.write(tmp_path, "s", two_systems.PREDS["a"])]
  )
  with pytest.raises(ValueError, match="expected different names"):
    command.compare([*read, *read])


def test_the_result_is_json_and_follows_the_seed(words, result):
  assert json.loads(json.dumps(result)) == result
  read = systems.read(words)
  assert command.compare(read) == result
  other = command.compare(read, bootstrap_seed=1)
  f1, same = (x["pairs"][0]["differences"]["f1"] for x in (other, result))
  assert f1["difference"] == same["difference"]
  assert f1["low"] != same["low"]
