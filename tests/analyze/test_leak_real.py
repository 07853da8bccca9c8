"""The leak audit of MNRE and MNRE-1 as published."""

import os

import pytest

from ifa_jax.analyze.leak import command, information
from ifa_jax.data import schema

pytestmark = pytest.mark.slow

MNRE_DIR = os.environ.get("MNRE_DIR")
MNRE1_DIR = os.environ.get("MNRE1_DIR")


@pytest.mark.skipif(
  not MNRE_DIR, reason="set MNRE_DIR to the published data/ folder"
)
def test_the_published_crops_reveal_the_label():
  found = command.measure(MNRE_DIR)
  grounded = found["counts"]["grounded crops"]
  assert grounded["table"] == {
    "train": {
      "none": {1: 2, 2: 7742},
      "relation": {2: 81, 3: 786, 4: 3636},
    },
    "val": {"none": {1: 2, 2: 998}, "relation": {2: 15, 3: 120, 4: 489}},
    "test": {"none": {2: 974}, "relation": {2: 14, 3: 107, 4: 519}},
  }
  assert grounded["threshold"] == "more than 2"
  assert grounded["finding"]["test"]["precision"] == 1
  assert grounded["finding"]["test"]["recall"] == 626 / 640
  assert grounded["accuracy"]["test"] == {
    "rule": 1600 / 1614,
    "majority": 974 / 1614,
  }
  for split in schema.SPLITS:
    queries = found["queries"][split]
    for kind in ("none", "relation", "typed"):
      assert queries[f"{kind}_equal"] == queries[f"{kind}_rows"] > 600
  assert {name for name, v in found["verdicts"].items() if v == "leak"} == {
    "grounded crops",
    "type words in the query",
    "gold types in the query",
  }


@pytest.mark.skipif(not MNRE1_DIR, reason="set MNRE1_DIR to MNRE-1's texts")
def test_mnre_1_has_nothing_to_leak():
  found = command.measure(MNRE1_DIR)
  assert sum(found["rows"]["test"].values()) == 1282
  assert (found["protocol"], found["verdict"]) == ("none", information.NO_LEAK)
