"""The leak audit of counts that a user supplies, by row and by picture."""

import json
import random

import leak_trees
import numpy as np
import pytest

from ifa_jax.analyze.leak import command, information

pytestmark = pytest.mark.slow

IDS = leak_trees.labels()
ROWS = [
  (split, line, relation)
  for split, ids in IDS.items()
  for line, relation in enumerate(ids)
]


@pytest.fixture(scope="module", name="tree")
def tree_without_crops(tmp_path_factory):
  return leak_trees.write(tmp_path_factory.mktemp("tree"), IDS)


@pytest.fixture(name="audit")
def audit_of_the_tree(tree, tmp_path):
  def measure(content):
    path = tmp_path / "counts.json"
    path.write_text(json.dumps(content))
    return command.measure(tree, counts_file=str(path))

  return measure


def by_picture(number):
  return {leak_trees.picture(s, line): number(s, i) for s, line, i in ROWS}


def by_row(number):
  return {f"{s}/{line + 1}": number(s, i) for s, line, i in ROWS}


@pytest.mark.silent_input
@pytest.mark.parametrize("keys", [by_picture, by_row])
def test_counts_of_a_file_are_tested_like_those_of_the_dataset(audit, keys):
  rng = random.Random(0)
  found = audit(
    {
      "caption length": keys(lambda split, relation: 5 + (relation > 0)),
      "any": keys(lambda split, relation: rng.randint(0, 1)),
    }
  )
  verdicts = found["verdicts"]
  assert verdicts["caption length"] == information.LEAK
  assert verdicts["any"] != information.LEAK
  table = found["counts"]["caption length"]["table"]["test"]
  none = IDS["test"].count(0)
  assert table == {"none": {5: none}, "relation": {6: len(IDS["test"]) - none}}
  assert command.summary(found).endswith(
    "caption length reveal whether a row has a relation, or which"
  )


@pytest.mark.silent_input
def test_a_count_that_leaks_in_test_only_is_found(audit):
  rng = random.Random(0)
  planted = by_picture(
    lambda split, i: int(i > 0) if split == "test" else rng.randint(0, 1)
  )
  found = audit({"entities": planted})
  assert found["verdicts"] == {"entities": information.LEAK}
  within = found["counts"]["entities"]["within"]
  assert {
    split: tests["finding"]["verdict"] == information.LEAK
    for split, tests in within.items()
  } == {"train": False, "val": False, "test": True}


def test_the_number_of_counts_is_corrected_for(audit):
  random_numbers = np.random.default_rng(0).integers(0, 2, (30, len(ROWS)))
  keys = [*by_picture(lambda split, relation: 0)]
  content = {
    f"count {i}": dict(zip(keys, numbers.tolist(), strict=True))
    for i, numbers in enumerate(random_numbers)
  }
  leak = by_picture(lambda split, relation: int(relation > 0))
  found = audit(content | {"leak": leak})
  assert found["level"] == pytest.approx(0.01 / (8 * 31))
  leaks = [n for n, v in found["verdicts"].items() if v == information.LEAK]
  assert leaks == ["leak"]


def test_many_values_are_tested_in_groups(audit):
  rng = random.Random(0)
  found = audit(
    {"score": by_picture(lambda split, i: (i > 0) + rng.random() / 2)}
  )
  tables = found["counts"]["score"]["table"].values()
  assert len({x for table in tables for k in table.values() for x in k}) == 32
  assert found["verdicts"] == {"score": information.LEAK}
  score = found["counts"]["score"]["held_out"]["finding"]
  assert score["share"] > 0.5


def test_a_row_precedes_its_picture(audit):
  numbers = by_picture(lambda split, relation: 1) | {"test/1": 3.5}
  found = audit({"x": numbers})
  table = found["counts"]["x"]["table"]["test"]
  kind = "relation" if IDS["test"][0] else "none"
  assert table[kind][3.5] == 1


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ([], r"counts.json: expected {name: {row or img_id: number}}, got \[\]"),
    ({"x": 1}, r"expected {name: {row or img_id: number}}, got {'x': 1}"),
    ({"x": {"a.jpg": 1}}, r"'x': expected a number for row train/1 \(img_id"),
    ({"x": by_row(lambda *_: True)}, "number for row train/1 .* got True"),
    ({"x": by_row(lambda *_: "1")}, "number for row train/1 .* got '1'"),
    ({"picture": {}}, "expected names other than .*picture.*, got 'picture'"),
  ],
)
def test_a_malformed_file_of_counts_is_refused(audit, content, message):
  with pytest.raises(ValueError, match=message):
    audit(content)
