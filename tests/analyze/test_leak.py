"""The leak audit of raw trees, against tallies of the generated rows."""

import math
import os
import subprocess
import sys

import command_lines
import leak_trees
import pytest
import raw_tree

from ifa_jax.analyze.leak import command, information
from ifa_jax.data import schema

pytestmark = pytest.mark.slow


def test_tables_are_those_of_the_rows(found):
  grounded = found["counts"]["grounded crops"]
  for split, ids in leak_trees.labels().items():
    rows = leak_trees.tally(ids, split)
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
  train = leak_trees.tally(leak_trees.labels()["train"], "train")
  assert grounded["threshold"] == "more than 2"
  right = {
    (more, number): sum(((n > number) == more) == r for n, r in train)
    for number in range(6)
    for more in (True, False)
  }
  assert right[True, 2] == max(right.values())
  for split, ids in leak_trees.labels().items():
    rows = leak_trees.tally(ids, split)
    told = [r for n, r in rows if n > 2]
    scores = grounded["finding"][split]
    assert scores["precision"] == sum(told) / len(told)
    assert scores["recall"] == sum(told) / sum(r for _, r in rows)
    assert scores["recall"] < 1


def test_accuracies_and_the_tests_are_those_of_the_rows(found):
  grounded = found["counts"]["grounded crops"]
  for split, ids in leak_trees.labels().items():
    rows = leak_trees.tally(ids, split)
    accuracy = grounded["accuracy"][split]
    assert accuracy["majority"] == sum(not r for _, r in rows) / len(rows)
    assert accuracy["rule"] == sum((n > 2) == r for n, r in rows) / len(rows)
  held_out = [
    row
    for split in ("val", "test")
    for row in leak_trees.tally(leak_trees.labels()[split], split)
  ]
  finding, naming = (grounded["held_out"][k] for k in ("finding", "naming"))
  assert (finding["rows"], finding["posts"]) == (140, 140)
  assert naming["rows"] == sum(r for _, r in held_out)
  train = leak_trees.tally(leak_trees.labels()["train"], "train")
  base = (sum(r for _, r in train) + 1) / (len(train) + 2)
  bits = []
  for number, related in held_out:
    alike = [r for n, r in train if n == number]
    chance = (sum(alike) + 2 * base) / (len(alike) + 2)
    pair = (chance, base) if related else (1 - chance, 1 - base)
    bits.append((math.log2(pair[0] / pair[1]), -math.log2(pair[1])))
  told, left = map(sum, zip(*bits, strict=True))
  assert finding["told"] == pytest.approx(told / 140)
  assert finding["share"] == pytest.approx(told / left)
  assert (
    finding["verdict"] == grounded["held_out"]["verdict"] == information.LEAK
  )


def test_queries_are_compared_with_the_gold_relations(found):
  queries = found["queries"]
  for split, ids in leak_trees.labels().items():
    kinds = {
      "none": ids.count(0),
      "relation": len(ids) - ids.count(0),
      "typed": ids.count(1) + ids.count(2),
    }
    for kind, number in kinds.items():
      assert queries[split][f"{kind}_rows"] == number
      assert queries[split][f"{kind}_equal"] == number
  assert queries["judged"]["verdict"] == information.LEAK


def test_the_verdict_names_the_leaks_and_the_protocol(found):
  assert found["verdict"] == information.LEAK
  assert found["protocol"] == "released"
  line = command.summary(found)
  assert line.startswith("leak (raw tree: protocol released): grounded crops, ")
  assert "\n" not in line


def test_numbers_that_do_not_depend_on_the_relation_are_no_leak(tmp_path):
  tree = leak_trees.write(
    tmp_path,
    leak_trees.labels(sizes={"train": 400, "val": 200, "test": 200}),
    leak_trees.by_line,
    lambda split, line, relation: "Bill Cosby Hollywood",
  )
  found = command.measure(tree)
  assert found["verdicts"] == {
    "grounded crops": information.NO_LEAK,
    "gold types in the query": information.NO_LEAK,
  }
  assert command.summary(found).startswith(
    "no leak (raw tree: protocol released)"
  )


def test_few_rows_are_no_leak(tmp_path):
  few = leak_trees.labels(sizes={"train": 20, "val": 3, "test": 20})
  found = command.measure(
    leak_trees.write(tmp_path / "a", few, leak_trees.by_line)
  )
  assert found["verdict"] == information.TOO_FEW
  assert "undecided for grounded crops" in command.summary(found)
  # A constant reveals nothing, however few rows there are.
  same = leak_trees.write(
    tmp_path / "b", few, lambda *place: leak_trees.names(2)
  )
  assert command.measure(same)["verdict"] == information.NO_LEAK


def test_crops_that_are_listed_twice_are_counted(tmp_path):
  """All rows list three crops; without a relation, two of them are one."""

  def padded(split, line, relation):
    return ["a.png", "b.png", "c.png" if relation else "b.png"]

  found = command.measure(
    leak_trees.write(tmp_path, leak_trees.labels(), padded)
  )
  assert found["duplicates"]["grounded"] == {
    split: {"none": ids.count(0), "relation": 0}
    for split, ids in leak_trees.labels().items()
  }
  assert found["verdicts"] == {
    "grounded crops": information.NO_LEAK,
    "distinct grounded crops": information.LEAK,
  }


def test_detected_crops_and_pictures_are_tested_too(tmp_path):
  ids = leak_trees.labels()
  rows = {
    split: [
      raw_tree.row(
        relation=leak_trees.RELATIONS[i],
        img_id=f"{split}{line}{'yn'[i == 0]}.jpg",
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
    relations=leak_trees.RELATIONS,
  )
  found = command.measure(tree)
  assert found["protocol"] == "none"
  assert found["verdicts"] == {
    "detected crops": information.LEAK,
    "distinct detected crops": information.NO_LEAK,
    # The same numbers as the crops', but for one less.
    "picture": information.LEAK,
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
  found = command.measure(leak_trees.write(tmp_path, leak_trees.labels()))
  assert (found["protocol"], found["counts"]) == ("none", {})
  assert (found["queries"], found["verdict"]) == (None, information.NO_LEAK)


def test_the_layout_of_mnre_1_reads_too(tmp_path):
  for split, ids in leak_trees.labels().items():
    rows = [
      repr(raw_tree.row(relation=leak_trees.RELATIONS[i].lower(), img_id=64738))
      for i in ids
    ]
    (tmp_path / f"ours_{split}.txt").write_text("\n".join(rows) + "\n")
  found = command.measure(tmp_path)
  none = leak_trees.labels()["test"].count(0)
  assert found["rows"]["test"] == {"none": none, "relation": 80 - none}


def test_a_folder_without_a_dataset_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r"expected a raw tree .* got neither"):
    command.measure(tmp_path)
  with pytest.raises(ValueError, match="nowhere: expected a raw tree"):
    command.measure(tmp_path / "nowhere")


def test_a_tree_that_lacks_a_part_is_refused(tmp_path):
  tree = leak_trees.write(tmp_path, leak_trees.labels(), leak_trees.as_released)
  for part, message in (
    ("txt/ours_test.txt", r"expected txt/ours_test\.txt"),
    ("txt/mre_val_dict.pth", r"needs txt/mre_val_dict\.pth"),
  ):
    content = (tmp_path / part).read_bytes()
    (tmp_path / part).unlink()
    with pytest.raises(ValueError, match=message):
      command.measure(tree)
    (tmp_path / part).write_bytes(content)
  assert command.measure(tree)["verdict"] == information.LEAK


def test_a_tree_of_another_protocol_is_refused(released):
  message = "expected protocol clean, got a raw tree.* protocol released"
  with pytest.raises(ValueError, match=message):
    command.measure(released, "clean")
  assert command.measure(released, "released")["verdict"] == information.LEAK


def test_a_row_without_a_list_is_named(tmp_path):
  tree = leak_trees.write(tmp_path, leak_trees.labels(), leak_trees.as_released)
  num = leak_trees.SIZES["test"]
  for lines, message in (
    ([0], rf"mre_test_dict\.pth: expected .* {num} lines of .*, got 1$"),
    ([0, *range(2, num + 1)], r"ours_test\.txt:2: no crop list"),
  ):
    listed = raw_tree.torch_pickle({line: ["a.png"] for line in lines})
    (tmp_path / "txt/mre_test_dict.pth").write_bytes(listed)
    with pytest.raises(ValueError, match=message):
      command.measure(tree)


def test_a_raw_tree_needs_no_tensorflow(released):
  code = (
    "import sys; from ifa_jax.analyze.audit import command as audit;"
    " from ifa_jax.analyze.leak import command as leak;"
    f" leak.measure({released!r}); audit.audit_published();"
    " sys.exit('tensorflow' in sys.modules)"
  )
  subprocess.run(
    [sys.executable, "-c", code], cwd=command_lines.ROOT, check=True
  )
