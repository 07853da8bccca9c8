"""Systems on the same rows, against scikit-learn and draws made by hand."""

import json
import pathlib
import statistics

import numpy as np
import predicted
import pytest
import sklearn.metrics
import two_systems

from ifa_jax.analyze import tables
from ifa_jax.analyze.compare import command
from ifa_jax.analyze.compare import tables as compare_tables
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
def what_is_found_of_two_systems(words):
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


def test_a_single_seed_has_no_deviation(tmp_path):
  found = two_systems.compared(
    tmp_path, two_systems.GOLD, two_systems.PREDS["a"][0]
  )
  assert found["pairs"] == []
  (system,) = found["systems"]
  assert {x["deviation"] for x in system["scores"].values()} == {None}


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


def test_a_system_differs_from_itself_by_nothing(tmp_path):
  first, second = two_systems.PREDS["a"][0], two_systems.PREDS["a"][0]
  (pair,) = two_systems.compared(tmp_path, two_systems.GOLD, first, second)[
    "pairs"
  ]
  every = [
    *pair["differences"].values(),
    *pair["f1_by_relation"].values(),
    pair["none_accuracy"],
  ]
  for found in every:
    assert (found["low"], found["difference"], found["high"]) == (0, 0, 0)
    assert not found["excludes_0"]


def test_seeds_in_another_order_differ_by_nothing(tmp_path):
  # 0.1 + 0.2 + 0.3 depends on the order.
  gold = ["/a"] * 10
  preds = [["/a"] * n + ["None"] * (10 - n) for n in (1, 2, 3)]
  words = [
    two_systems.write(tmp_path, name, seeds, gold)
    for name, seeds in (("x", preds), ("y", preds[::-1]))
  ]
  (pair,) = command.compare(systems.read(words))["pairs"]
  recall = pair["differences"]["recall"]
  assert 0 < abs(recall["difference"]) < 1e-15
  assert not recall["excludes_0"]


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


def test_a_prediction_that_no_row_has_is_wrong(tmp_path):
  gold = ["/a", "/a", "None", "None"]
  pred = ["/a", "/other", "/other", "None"]
  found = two_systems.compared(tmp_path, gold, pred, gold)
  scores = {k: x["mean"] for k, x in found["systems"][0]["scores"].items()}
  assert scores == pytest.approx(
    {"accuracy": 2 / 4, "precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5}
  )
  assert list(found["pairs"][0]["f1_by_relation"]) == ["None", "/a"]


def test_rows_that_all_have_a_relation_say_nothing_of_none(tmp_path):
  found = two_systems.compared(
    tmp_path, ["/a", "/b"], ["/a", "None"], ["/b", "/b"]
  )
  (pair,) = found["pairs"]
  assert list(pair["f1_by_relation"]) == ["/a", "/b"]
  assert pair["none_accuracy"]["support"] == 0
  assert found["systems"][0]["scores"]["precision"]["mean"] == 1


def test_systems_are_checked_however_they_were_read(tmp_path):
  read = systems.read(
    [two_systems.write(tmp_path, "s", two_systems.PREDS["a"])]
  )
  with pytest.raises(ValueError, match="expected different names"):
    command.compare([*read, *read])


def test_one_row_is_too_few(tmp_path):
  with pytest.raises(ValueError, match=r"s00.jsonl: want at least 2 posts"):
    two_systems.compared(tmp_path, ["None"], ["None"])
  gold = ["None", "/a"]
  with pytest.raises(ValueError, match=r"2 posts, found 2 rows of 1$"):
    two_systems.compared(tmp_path, gold, gold, img_id="a.jpg")


def test_the_result_is_json_and_follows_the_seed(words, result):
  assert json.loads(json.dumps(result)) == result
  read = systems.read(words)
  assert command.compare(read) == result
  other = command.compare(read, bootstrap_seed=1)
  f1, same = (x["pairs"][0]["differences"]["f1"] for x in (other, result))
  assert f1["difference"] == same["difference"]
  assert f1["low"] != same["low"]


def test_cells_show_percent_with_their_interval():
  interval = {"low": 0.791, "high": 0.84019}
  assert tables.with_interval("81.67", interval) == ("81.67 [79.10, 84.02]")
  found = {"low": -0.00001, "high": 0.03, "excludes_0": False}
  for difference, shown in [
    (0.012, "+1.20 [0.00, 3.00]"),
    (-0.012, "-1.20 [0.00, 3.00]"),
    (-0.00001, "0.00 [0.00, 3.00]"),
  ]:
    cell = tables.difference(found | {"difference": difference})
    assert cell == shown
  marked = found | {"difference": 0.012, "excludes_0": True}
  assert tables.difference(marked) == "* +1.20 [0.00, 3.00]"


def test_odd_names_are_shown_as_they_are(tmp_path, capsys):
  gold = ["None", "/a|b", "[bold]/c[/bold]"]
  words = [
    two_systems.write(tmp_path, "x", [gold], gold),
    two_systems.write(tmp_path, "y", [gold[::-1]], gold),
  ]
  read = [
    systems.System(f"[red]{system.name}", system.seeds)
    for system in systems.read(words)
  ]
  found = command.compare(read)
  compare_tables.show(found)
  shown = capsys.readouterr().out
  assert "Differences from [red]x (clean)" in shown
  assert "│ [bold]/c[/bold] │" in shown
  assert "| /a\\|b | 1 |" in compare_tables.markdown(found)


@pytest.mark.silent_input
def test_rows_of_one_post_count_as_one(tmp_path):
  """Ten rows say what one of them says, four times over."""
  gold = ["/a", "None"] * 20
  apart = ["/a", "/a", "None", "None"] * 10

  def width(name, img_ids):
    lines = predicted.lines(gold, apart)
    lines = [
      line | {"img_id": i} for line, i in zip(lines, img_ids, strict=True)
    ]
    path = predicted.write(tmp_path / f"{name}.jsonl", lines)
    found = command.compare(systems.read([path]))
    f1 = found["systems"][0]["scores"]["accuracy"]
    return f1["high"] - f1["low"], found["bootstrap"]["posts"]

  rows, own = width("own", [f"{i}.jpg" for i in range(40)])
  same, unnamed = width("unnamed", [None, ""] * 20)
  assert (own, unnamed) == (40, 40)
  assert rows == same
  # Rows of a kind together: right with right.
  kinds = {("/a", "/a"): 0, ("None", "/a"): 1, ("/a", "None"): 2}
  names = [
    f"{kinds.get(pair, 3)}{i // 16}"
    for i, pair in enumerate(zip(gold, apart, strict=True))
  ]
  posts, number = width("posts", names)
  assert number == 12
  assert posts > 1.5 * rows


@pytest.mark.silent_input
def test_relations_are_marked_at_a_rate_of_false_discoveries(
  tmp_path, monkeypatch
):
  """Twelve relations that two coins guess: hardly one is marked."""
  monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 999)
  marked = intervals = 0
  for seed in range(12):
    rng = np.random.default_rng(seed)
    gold = [f"/{i % 12}" for i in range(240)]
    coins = np.where(rng.random((2, 240)) < 0.5, gold, "None")
    (pair,) = two_systems.compared(tmp_path, gold, *map(list, coins))["pairs"]
    found = pair["f1_by_relation"].values()
    marked += any(tables.difference(x).startswith("*") for x in found)
    intervals += any(x["excludes_0"] for x in found)
  assert marked <= 2
  assert intervals >= 4


def test_adjusted_p_values_are_benjamini_hochbergs():
  p_values = [0.01, 0.04, 0.03, 0.9]
  found = command._adjust([{"p_value": p} for p in p_values])
  wanted = [0.04, 0.16 / 3, 0.16 / 3, 0.9]
  np.testing.assert_allclose([one["adjusted_p"] for one in found], wanted)
  difference = {"difference": 0.1, "low": 0.01, "high": 0.2, "excludes_0": True}
  assert tables.points(difference | found[0]) == "* +10.00"
  assert tables.points(difference | found[1]) == "+10.00"


@pytest.mark.silent_input
def test_predictions_that_no_row_has_are_counted(tmp_path):
  gold, pred = ["/a", "/a", "None"], ["/x", "/x", "/y"]
  found = two_systems.compared(tmp_path, gold, pred, gold)
  assert found["systems"][0]["unknown"] == {"/x": 2, "/y": 1}
  assert found["systems"][1]["unknown"] == {}
