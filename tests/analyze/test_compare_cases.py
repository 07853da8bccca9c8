"""Comparisons of systems in small and special cases, and their cells."""

import numpy as np
import predicted
import pytest
import two_systems

from ifa_jax.analyze import tables
from ifa_jax.analyze.compare import command
from ifa_jax.analyze.compare import tables as compare_tables
from ifa_jax.statistics import bootstrap, systems

pytestmark = pytest.mark.slow


def test_a_single_seed_has_no_deviation(tmp_path):
  found = two_systems.compared(
    tmp_path, two_systems.GOLD, two_systems.PREDS["a"][0]
  )
  assert found["pairs"] == []
  (system,) = found["systems"]
  assert {x["deviation"] for x in system["scores"].values()} == {None}


def test_guesses_are_those_of_the_first_model_that_has_any(tmp_path):
  """Runs of earlier versions, and files, have none."""
  guesses = {"majority": {"f1": 0.5}}
  for name, known in (("old", {}), ("new", {"counts_only": guesses})):
    lines = predicted.lines(two_systems.GOLD, two_systems.PREDS["a"][0])
    predicted.write_run(tmp_path / name, lines, **known)
  old, new = (str(tmp_path / name) for name in ("old", "new"))
  for words in ([old, new], [f"{old},{new}"], [new, old]):
    assert command.compare(systems.read(words))["counts_only"] == guesses
  assert command.compare(systems.read([old]))["counts_only"] is None


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


def test_a_prediction_that_no_row_has_is_wrong(tmp_path):
  gold = ["/a", "/a", "None", "None"]
  pred = ["/a", "/other", "/other", "None"]
  found = two_systems.compared(tmp_path, gold, pred, gold)
  scores = {k: x["mean"] for k, x in found["systems"][0]["scores"].items()}
  assert scores == pytest.approx(
    {"accuracy": 2 / 4, "precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5}
  )
  assert list(found["pairs"][0]["f1_by_relation"]) == ["None", "/a"]


def test_rows_that_all_have_a_relation_have_no_scores_of_none(tmp_path):
  found = two_systems.compared(
    tmp_path, ["/a", "/b"], ["/a", "None"], ["/b", "/b"]
  )
  (pair,) = found["pairs"]
  assert list(pair["f1_by_relation"]) == ["/a", "/b"]
  assert pair["none_accuracy"]["support"] == 0
  assert found["systems"][0]["scores"]["precision"]["mean"] == 1


def test_one_row_is_too_few(tmp_path):
  with pytest.raises(ValueError, match=r"s00.jsonl: expected at least 2 posts"):
    two_systems.compared(tmp_path, ["None"], ["None"])
  gold = ["None", "/a"]
  with pytest.raises(ValueError, match=r"2 posts, got 2 rows of 1$"):
    two_systems.compared(tmp_path, gold, gold, img_id="a.jpg")


def test_cells_show_percent_with_their_interval():
  interval = {"low": 0.791, "high": 0.84019}
  assert tables.interval(interval) == "[79.10, 84.02]"
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
    systems.PredictedSystem(f"[red]{system.name}", system.seeds)
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
  """Ten rows with the outcome of one of them, four times over."""
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
  found = [{"p_value": p} for p in p_values]
  command._adjust(found)
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
