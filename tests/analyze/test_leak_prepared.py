"""Leaks of prepared datasets, and the command `leak`."""

import copy
import json
import shutil

import command_lines
import leak_trees
import numpy as np
import pytest
import raw_tree

from ifa_jax.analyze.leak import command as leak
from ifa_jax.analyze.leak import counts as leak_counts
from ifa_jax.analyze.leak import information, sources
from ifa_jax.data import schema
from ifa_jax.data.images import decode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="prepared")
def prepared_of_every_protocol(released, tmp_path_factory):
  """Datasets of a tree whose crops leak; a picture has the same box twice."""
  from ifa_jax.preparation.mnre import plan, prepare

  root = tmp_path_factory.mktemp("prepared")
  raw_dir = root / "raw"
  shutil.copytree(released, raw_dir)
  (raw_dir / "img_org/train").mkdir(parents=True)
  pictures = [
    leak_trees.picture(split, line)
    for split, ids in leak_trees.labels().items()
    for line in range(len(ids))
  ]
  for name in pictures:
    (raw_dir / "img_org/train" / name).write_bytes(raw_tree.jpeg())
  box = {"box": [0, 0, 20, 20], "score": 0.5}
  found = [box, box, {**box, "phrase": "Hollywood"}]
  boxes = dict.fromkeys(pictures, found)
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
  found = copy.deepcopy(found)
  from_records = leak.measure(prepared, "released")
  assert from_records["source"] == (
    "prepared dataset: protocol released, missing pixels grey"
  )
  assert from_records["rows"] == found["rows"]
  grounded = from_records["counts"]["grounded crops"]
  wanted = found["counts"]["grounded crops"]
  for counted in (grounded, wanted):
    for tests in (counted["held_out"], *counted["within"].values()):
      for question in leak_counts.QUESTIONS:
        # Its level depends on the number of counts.
        assert tests[question].pop("high") > 0
  assert grounded == wanted
  # Three at most are drawn, with the same information.
  squares = from_records["counts"]["grounded squares"]
  assert max(squares["table"]["test"]["relation"]) == 3
  assert squares["held_out"]["verdict"] == information.LEAK
  assert squares["held_out"]["finding"]["posts"] == 140
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
  # A constant reveals nothing.
  assert found["verdict"] == information.NO_LEAK
  assert found["counts"]["detected crops"]["threshold"] is None


def test_repeats_are_those_beyond_the_first():
  grey = decode.encode_png(decode.grey(8))
  other = decode.encode_png(np.zeros((8, 8, 3), np.uint8))
  count = sources._same_squares
  assert count([other, other, other, b"x"], True) == 2
  assert count([grey, grey, other], True) == 0
  # A grey picture is a picture where missing ones are left out.
  assert count([grey, grey, other], False) == 1


def test_protocol_none_has_no_crops(prepared):
  found = leak.measure(prepared, "none")
  assert [*found["counts"]] == ["picture"]
  assert found["verdict"] == information.NO_LEAK


def test_several_datasets_want_a_protocol(prepared):
  with pytest.raises(ValueError, match=r"expected one dataset, got .*clean"):
    leak.measure(prepared)


def test_shards_that_are_gone_are_named(prepared, tmp_path):
  (folder,) = (prepared / "mnre/none").iterdir()
  for path in folder.iterdir():
    if path.is_file() and "test.tfrecord" not in path.name:
      (tmp_path / path.name).symlink_to(path)
  with pytest.raises(ValueError, match="expected shards of the split 'test'"):
    leak.measure(tmp_path)


CASES = {
  "tables": "--data_dir=RAW",
  "json": "--data_dir=RAW --json",
  "none": "--data_dir=DATA --protocol=none",
  "tolerated": "--data_dir=DATA --protocol=released --tolerance=100 --json",
  "supplied": "--data_dir=RAW --json --counts=COUNTS",
  "nowhere": "--data_dir=/nowhere/at/all",
  "no folder": "--json",
  "tolerance": "--data_dir=RAW --tolerance=101",
  "protocol": "--data_dir=RAW --protocol=raw",
}


# Needed by most lines, and slow to load.
LOADED = (
  "ifa_jax.analyze.leak.command",
  "ifa_jax.data.mnre.crops",
  "ifa_jax.runtime.tensorflow",
)


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(released, prepared, tmp_path_factory):
  command = ["ifa_jax/analyze/__main__.py", "leak"]
  counts = tmp_path_factory.mktemp("counts") / "counts.json"
  pictures = [
    leak_trees.picture(split, line)
    for split, size in leak_trees.SIZES.items()
    for line in range(size)
  ]
  lengths = dict(zip(pictures, range(300), strict=True))
  counts.write_text(json.dumps({"caption length": lengths}))
  places = {"RAW": released, "DATA": str(prepared), "COUNTS": str(counts)}
  lines = {}
  for case, line in CASES.items():
    for name, place in places.items():
      line = line.replace(name, place)
    lines[case] = command + line.split()
  return command_lines.run_all(lines, loaded=LOADED)


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


@pytest.mark.silent_input
def test_a_flag_supplies_further_counts(outcomes, found):
  status, out, err = outcomes["supplied"]
  assert (status, err) == (1, "")
  verdicts = json.loads(out)["verdicts"]
  assert verdicts.keys() - found["verdicts"].keys() == {"caption length"}
  assert verdicts["caption length"] != information.LEAK


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
    ("nowhere", 1, "/nowhere/at/all: expected a raw tree"),
    ("no folder", 2, "--data_dir"),
    ("tolerance", 2, "101"),
    ("protocol", 2, "raw"),
  ],
)
def test_mistakes_are_reported_in_one_line(outcomes, case, status, named):
  outcome = outcomes[case]
  assert (outcome.status, outcome.out) == (status, "")
  (line,) = outcome.err.splitlines()
  assert line.startswith("error: ")
  assert named in line
