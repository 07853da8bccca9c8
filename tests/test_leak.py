"""The leak audit, against tallies of the generated rows themselves."""

import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
import raw_tree
from test_command import Outcome

from ifa_jax.analyze import (
  leak,
  leak_counts,
  leak_queries,
  leak_sources,
  verdicts,
)
from ifa_jax.analyze.leak_counts import Counted, Threshold
from ifa_jax.data import pictures, schema

TESTS = pathlib.Path(__file__).parent
MNRE_DIR = os.environ.get("MNRE_DIR")
MNRE1_DIR = os.environ.get("MNRE1_DIR")

RELATIONS = ("None", "/per/org/member_of", "/per/misc/awarded", "/misc/misc/of")
TYPES = ((), ("person", "organization"), ("person",), ())
SIZES = {"train": 160, "val": 60, "test": 80}


def labels(seed=0, sizes=SIZES):
  """Returns ids of relations; six of ten rows have none."""
  rng = random.Random(seed)
  return {
    split: rng.choices(range(4), [6, 2, 1, 1], k=size)
    for split, size in sizes.items()
  }


def write(folder, ids, crops=None, queries=None, **options):
  """Writes a raw tree.

  Args:
    folder: where.
    ids: split -> relation of each row.
    crops: (split, line from 0, relation) -> names of grounded crops.
    queries: the same -> query.
    **options: of `raw_tree.write_tree`.
  """
  rows = {
    split: [raw_tree.row(relation=RELATIONS[i]) for i in relations]
    for split, relations in ids.items()
  }
  files = dict(options.pop("files", {}))
  for split, relations in ids.items():
    places = [(split, line, i) for line, i in enumerate(relations)]
    if crops:
      listed = {place[1]: crops(*place) for place in places}
      content = raw_tree.torch_pickle(listed)
      files[f"txt/mre_{split}_dict.pth"] = content
    if queries:
      asked = {str(place[1]): queries(*place) for place in places}
      content = json.dumps(asked).encode()
      files[f"txt/phrase_text_{split}.json"] = content
  return raw_tree.write_tree(
    folder, rows, files=files, **{"relations": RELATIONS, **options}
  )


def names(number):
  return [f"{i}.png" for i in range(number)]


def as_released(split, line, relation):
  """Two crops, and one for each type; now and then one is lost."""
  return names(2 + len(TYPES[relation]) - (line % 29 == 0))


def by_line(split, line, relation):
  return names(random.Random(f"{split}{line}").choice([1, 2, 3]))


def released_query(split, line, relation):
  return " ".join(["Bill Cosby Hollywood", *TYPES[relation]])


@pytest.fixture(scope="module", name="released")
def tree_of_released_crops(tmp_path_factory):
  folder = tmp_path_factory.mktemp("released") / "raw"
  return write(folder, labels(), as_released, released_query)


@pytest.fixture(scope="module", name="found")
def measured_released_tree(released):
  return leak.measure(released)


def tally(ids, split):
  """Returns (number of crops, has a relation) of each row, as generated."""
  return [
    (len(as_released(split, line, i)), i > 0) for line, i in enumerate(ids)
  ]


def test_tables_are_those_of_the_rows(found):
  grounded = found["counts"]["grounded crops"]
  for split, ids in labels().items():
    rows = tally(ids, split)
    for kind, wanted in (("none", False), ("relation", True)):
      table = {}
      for number, has_relation in sorted(rows):
        if has_relation == wanted:
          table[number] = table.get(number, 0) + 1
      assert grounded["table"][split][kind] == table
      assert found["rows"][split][kind] == sum(table.values())
  assert [*grounded["table"]] == list(schema.SPLITS)


def test_the_threshold_is_the_best_of_all_on_train(found):
  grounded = found["counts"]["grounded crops"]
  train = tally(labels()["train"], "train")
  assert grounded["threshold"] == "more than 2"
  right = {
    (more, number): sum(((n > number) == more) == r for n, r in train)
    for number in range(6)
    for more in (True, False)
  }
  assert right[True, 2] == max(right.values())
  for split, ids in labels().items():
    rows = tally(ids, split)
    told = [r for n, r in rows if n > 2]
    scores = grounded["finding"][split]
    assert scores["precision"] == sum(told) / len(told)
    assert scores["recall"] == sum(told) / sum(r for _, r in rows)
    assert scores["recall"] < 1


def test_accuracies_and_the_test_are_those_of_the_rows(found):
  grounded = found["counts"]["grounded crops"]
  for split, ids in labels().items():
    rows = tally(ids, split)
    accuracy = grounded["accuracy"][split]
    assert accuracy["majority"] == sum(not r for _, r in rows) / len(rows)
    assert accuracy["rule"] == sum((n > 2) == r for n, r in rows) / len(rows)
  held_out = [
    row for split in ("val", "test") for row in tally(labels()[split], split)
  ]
  corrected = sum(r for n, r in held_out if n > 2)
  errors = sum(r for _, r in held_out)
  assert grounded["held_out"] == {
    "rows": 140,
    "errors": errors,
    "corrected": corrected,
    "spoilt": 0,
    "share": corrected / errors,
    "p_value": pytest.approx(0.5**corrected),
    "verdict": verdicts.LEAK,
  }


def test_queries_are_compared_with_the_gold_relations(found):
  queries = found["queries"]
  for split, ids in labels().items():
    kinds = {
      "none": ids.count(0),
      "relation": len(ids) - ids.count(0),
      "typed": ids.count(1) + ids.count(2),
    }
    for kind, number in kinds.items():
      assert queries[split][f"{kind}_rows"] == number
      assert queries[split][f"{kind}_equal"] == number
  assert queries["judged"]["verdict"] == verdicts.LEAK


def test_the_verdict_names_what_leaks_and_the_protocol(found):
  assert found["verdict"] == verdicts.LEAK
  assert found["protocol"] == "released"
  line = leak.summary(found)
  assert line.startswith("leak (raw tree: protocol released): grounded crops, ")
  assert "\n" not in line


def test_numbers_that_do_not_depend_on_the_relation_are_no_leak(tmp_path):
  tree = write(
    tmp_path,
    labels(sizes={"train": 400, "val": 200, "test": 200}),
    by_line,
    lambda split, line, relation: "Bill Cosby Hollywood",
  )
  found = leak.measure(tree)
  assert found["verdicts"] == {
    "grounded crops": verdicts.NO_LEAK,
    "gold types in the query": verdicts.NO_LEAK,
  }
  assert leak.summary(found).startswith("no leak (raw tree: protocol released)")


def test_few_rows_do_not_cry_wolf(tmp_path):
  few = labels(sizes={"train": 20, "val": 3, "test": 20})
  found = leak.measure(write(tmp_path / "a", few, by_line))
  assert found["verdict"] == verdicts.TOO_FEW
  assert "undecided for grounded crops" in leak.summary(found)
  # What is the same everywhere tells nothing, however few there are.
  same = write(tmp_path / "b", few, lambda *place: names(2))
  assert leak.measure(same)["verdict"] == verdicts.NO_LEAK


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


def test_crops_that_are_listed_twice_are_counted(tmp_path):
  """All rows list three crops; without a relation, two of them are one."""

  def padded(split, line, relation):
    return ["a.png", "b.png", "c.png" if relation else "b.png"]

  found = leak.measure(write(tmp_path, labels(), padded))
  assert found["duplicates"]["grounded"] == {
    split: {"none": ids.count(0), "relation": 0}
    for split, ids in labels().items()
  }
  assert found["verdicts"] == {
    "grounded crops": verdicts.NO_LEAK,
    "distinct grounded crops": verdicts.LEAK,
  }


def test_detected_crops_and_pictures_are_tested_too(tmp_path):
  ids = labels()
  rows = {
    split: [
      raw_tree.row(
        relation=RELATIONS[i], img_id=f"{split}{line}{'yn'[i == 0]}.jpg"
      )
      for line, i in enumerate(relations)
    ]
    for split, relations in ids.items()
  }
  has = {
    row["img_id"]: row["relation"] != "None" for s in rows.values() for row in s
  }
  crops = {
    os.path.splitext(name)[0]: ["crops/a.jpg"] * (1 + related)
    for name, related in has.items()
  }
  lists = raw_tree.torch_pickle(crops)
  tree = raw_tree.write_tree(
    tmp_path,
    rows,
    pictures={f"train/{n}": b"any" for n, related in has.items() if related},
    files={f"img_detect/{s}/{s}_img2crop.pth": lists for s in schema.SPLITS},
    relations=RELATIONS,
  )
  found = leak.measure(tree)
  assert found["protocol"] == "none"
  assert found["verdicts"] == {
    "detected crops": verdicts.LEAK,
    "distinct detected crops": verdicts.NO_LEAK,
    # The same numbers as the crops', but for one less.
    "picture": verdicts.LEAK,
  }
  relations = len(ids["test"]) - ids["test"].count(0)
  twice = found["duplicates"]["detected"]["test"]
  assert twice == {"none": 0, "relation": relations}
  table = found["counts"]["picture"]["table"]["test"]
  assert table == {
    "none": {0: ids["test"].count(0)},
    "relation": {1: relations},
  }


def test_a_tree_without_a_dictionary_has_no_grounded_crops(tmp_path):
  found = leak.measure(write(tmp_path, labels()))
  assert (found["protocol"], found["counts"]) == ("none", {})
  assert (found["queries"], found["verdict"]) == (None, verdicts.NO_LEAK)


def test_the_layout_of_mnre_1_reads_too(tmp_path):
  for split, ids in labels().items():
    rows = [
      repr(raw_tree.row(relation=RELATIONS[i].lower(), img_id=64738))
      for i in ids
    ]
    (tmp_path / f"ours_{split}.txt").write_text("\n".join(rows) + "\n")
  found = leak.measure(tmp_path)
  none = labels()["test"].count(0)
  assert found["rows"]["test"] == {"none": none, "relation": 80 - none}


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
  assert leak_queries.gold_types(relation) == types


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
  assert list(leak_queries.query_types(query, tail)) == types


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
  assert leak_queries.judge([counts])["verdict"] == verdict


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"{", "phrase_text_val.json: not JSON"),
    (b"\xff", "phrase_text_val.json: not JSON"),
    (b"[]", "wanted an object of lines to queries, found a list"),
    (b'{"0": 1}', "wanted lines and queries, found '0': 1"),
    (b'{"a": "b"}', "wanted lines and queries, found 'a': b"),
    (b'{"0": "b"}', "ours_val.txt:2: wanted its query .* no entry 1"),
  ],
)
def test_bad_queries_are_named(content, message, tmp_path):
  tree = write(
    tmp_path, labels(), None, released_query, files={"img_org/x": b""}
  )
  (tmp_path / "txt/phrase_text_val.json").write_bytes(content)
  with pytest.raises(ValueError, match=message):
    leak.measure(tree)


def test_what_is_no_dataset_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r"want a raw tree .* found neither"):
    leak.measure(tmp_path)
  with pytest.raises(ValueError, match="nowhere: want a raw tree"):
    leak.measure(tmp_path / "nowhere")


def test_a_tree_that_lacks_a_part_is_refused(tmp_path):
  tree = write(tmp_path, labels(), as_released)
  for part, message in (
    ("txt/ours_test.txt", r"no txt/ours_test\.txt"),
    ("txt/mre_val_dict.pth", r"needs txt/mre_val_dict\.pth"),
  ):
    content = (tmp_path / part).read_bytes()
    (tmp_path / part).unlink()
    with pytest.raises(ValueError, match=message):
      leak.measure(tree)
    (tmp_path / part).write_bytes(content)
  assert leak.measure(tree)["verdict"] == verdicts.LEAK


def test_a_tree_of_another_protocol_is_refused(released):
  message = "wanted protocol clean, found a raw tree.* protocol released"
  with pytest.raises(ValueError, match=message):
    leak.measure(released, "clean")
  assert leak.measure(released, "released")["verdict"] == verdicts.LEAK


def test_a_row_without_a_list_is_named(tmp_path):
  tree = write(tmp_path, labels(), as_released)
  short = raw_tree.torch_pickle({0: ["a.png"]})
  (tmp_path / "txt/mre_test_dict.pth").write_bytes(short)
  with pytest.raises(ValueError, match=r"ours_test\.txt:2: no crop list"):
    leak.measure(tree)


@pytest.fixture(scope="module", name="prepared")
def prepared_of_every_protocol(released, tmp_path_factory):
  """Datasets of a tree whose crops leak; a picture has the same box twice."""
  from data_prep import plan, prepare

  root = tmp_path_factory.mktemp("prepared")
  raw_dir = root / "raw"
  shutil.copytree(released, raw_dir)
  (raw_dir / "img_org/train").mkdir(parents=True)
  (raw_dir / "img_org/train/a.jpg").write_bytes(raw_tree.jpeg())
  box = {"box": [0, 0, 20, 20], "score": 0.5}
  boxes = {"a.jpg": [box, box, {**box, "phrase": "Hollywood"}]}
  (root / "boxes.json").write_text(json.dumps(boxes))
  tokenizer = raw_tree.write_tokenizer(root / "tokenizer")
  for protocol, missing in (
    ("released", "grey"),
    ("clean", "error"),
    ("none", "absent"),
  ):
    settings = plan.Settings(
      raw_dir=str(raw_dir),
      data_dir=str(root / "data"),
      protocol=protocol,
      boxes=str(root / "boxes.json") if protocol == "clean" else None,
      missing_pixels=missing,
      tokenizer=tokenizer,
      image_size=32,
      patch_size=8,
      num_workers=1,
    )
    prepare.prepare(settings)
  return root / "data"


def test_a_prepared_dataset_leaks_as_its_tree_does(prepared, found):
  from_records = leak.measure(prepared, "released")
  assert from_records["source"] == (
    "prepared dataset: protocol released, missing pixels grey"
  )
  assert from_records["rows"] == found["rows"]
  grounded = from_records["counts"]["grounded crops"]
  assert grounded == found["counts"]["grounded crops"]
  # Three at most are drawn, and they tell the same.
  squares = from_records["counts"]["grounded squares"]
  assert max(squares["table"]["test"]["relation"]) == 3
  assert squares["held_out"]["verdict"] == verdicts.LEAK
  assert from_records["queries"] is None


def test_grey_squares_are_no_duplicates(prepared):
  found = leak.measure(prepared, "released")
  assert "distinct grounded squares" not in found["counts"]
  nothing = {"none": 0, "relation": 0}
  nowhere = dict.fromkeys(schema.SPLITS, nothing)
  assert found["duplicates"]["grounded"] == nowhere


def test_equal_squares_and_equal_boxes_are_duplicates(prepared):
  found = leak.measure(prepared, "clean")
  assert found["duplicates"]["detected"] == found["rows"]
  assert not found["duplicates"]["grounded"]["train"]["relation"]
  # The same number everywhere tells nothing.
  assert found["verdict"] == verdicts.NO_LEAK
  assert found["counts"]["detected crops"]["threshold"] is None


def test_repeats_are_those_beyond_the_first():
  grey = pictures.encode_png(pictures.grey(8))
  other = pictures.encode_png(np.zeros((8, 8, 3), np.uint8))
  count = leak_sources._same_squares
  assert count([other, other, other, b"x"], True) == 2
  assert count([grey, grey, other], True) == 0
  # A grey picture is a picture where missing ones are left out.
  assert count([grey, grey, other], False) == 1


def test_protocol_none_has_no_crops(prepared):
  found = leak.measure(prepared, "none")
  assert [*found["counts"]] == ["picture"]
  assert found["verdict"] == verdicts.NO_LEAK


def test_several_datasets_want_a_protocol(prepared):
  with pytest.raises(ValueError, match=r"wanted one dataset, found .*clean"):
    leak.measure(prepared)


def test_shards_that_are_gone_are_named(prepared, tmp_path):
  (folder,) = (prepared / "mnre/none").iterdir()
  for path in folder.iterdir():
    if path.is_file() and "test.tfrecord" not in path.name:
      (tmp_path / path.name).symlink_to(path)
  with pytest.raises(ValueError, match="want shards of the split 'test'"):
    leak.measure(tmp_path)


CASES = {
  "tables": "--data_dir=RAW",
  "json": "--data_dir=RAW --json",
  "none": "--data_dir=DATA --protocol=none",
  "tolerated": "--data_dir=DATA --protocol=released --tolerance=100 --json",
  "nowhere": "--data_dir=/nowhere/at/all",
  "no folder": "--json",
  "tolerance": "--data_dir=RAW --tolerance=101",
  "protocol": "--data_dir=RAW --protocol=raw",
}


# What most lines need and what takes seconds.
LOADED = ("ifa_jax.analyze.leak", "data_prep.crops", "tensorflow")


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(released, prepared):
  command = ["ifa_jax/analyze/__main__.py", "leak"]
  places = {"RAW": released, "DATA": str(prepared)}
  lines = []
  for line in CASES.values():
    for name, place in places.items():
      line = line.replace(name, place)
    lines.append(command + line.split())
  done = subprocess.run(
    [sys.executable, TESTS / "command_script.py", *LOADED],
    input=json.dumps(lines),
    env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    cwd=TESTS.parent,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  found = (Outcome(*outcome) for outcome in json.loads(done.stdout))
  return dict(zip(CASES, found, strict=True))


def test_a_leak_exits_1_with_tables_and_one_verdict(outcomes):
  status, out, err = outcomes["tables"]
  assert (status, err) == (1, "")
  assert "protocol released" in out
  assert "more than 2" in out
  lines = out.splitlines()
  assert lines[-1].startswith("leak (raw tree: protocol released): ")
  assert sum(line.startswith("leak (") for line in lines) == 1


def test_json_is_all_that_is_printed(outcomes, found):
  status, out, err = outcomes["json"]
  assert (status, err) == (1, "")
  assert json.loads(out) == json.loads(json.dumps(found))


def test_no_leak_exits_0(outcomes):
  status, out, _ = outcomes["none"]
  assert status == 0
  assert out.splitlines()[-1].startswith(
    "no leak (prepared dataset: protocol none, missing pixels absent)"
  )


def test_the_tolerance_is_given_in_percent(outcomes):
  assert outcomes["tolerated"].status == 0
  assert json.loads(outcomes["tolerated"].out)["tolerance"] == 1


@pytest.mark.parametrize(
  ("case", "status", "named"),
  [
    ("nowhere", 1, "/nowhere/at/all: want a raw tree"),
    ("no folder", 2, "--data_dir"),
    ("tolerance", 2, "101"),
    ("protocol", 2, "raw"),
  ],
)
def test_mistakes_are_told_in_one_line(outcomes, case, status, named):
  outcome = outcomes[case]
  assert (outcome.status, outcome.out) == (status, "")
  (line,) = outcome.err.splitlines()
  assert line.startswith("error: ")
  assert named in line


def test_a_raw_tree_needs_no_tensorflow(released):
  code = (
    "import sys; from ifa_jax.analyze import audit, leak;"
    f" leak.measure({released!r}); audit.audit_published();"
    " sys.exit('tensorflow' in sys.modules)"
  )
  subprocess.run([sys.executable, "-c", code], cwd=TESTS.parent, check=True)


@pytest.mark.skipif(
  not MNRE_DIR, reason="set MNRE_DIR to the published data/ folder"
)
def test_the_published_crops_tell_the_label():
  found = leak.measure(MNRE_DIR)
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
  found = leak.measure(MNRE1_DIR)
  assert sum(found["rows"]["test"].values()) == 1282
  assert (found["protocol"], found["verdict"]) == ("none", verdicts.NO_LEAK)
