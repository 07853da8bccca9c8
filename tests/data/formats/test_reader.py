"""The base of all readers: the relations, their order, and bad rows."""

import pytest
from format_files import NO_FILES, line, open_reader, write_jsonl

from ifa_jax.data.formats.reader import warn_untrained
from ifa_jax.data.mnre.row import RowError


def reader(folder, *names, **others):
  rows = [line(relation=name) for name in names]
  return open_reader(
    write_jsonl(
      folder,
      {"train": rows, "val": rows, "test": rows}
      | {
        split: [line(relation=name) for name in listed]
        for split, listed in others.items()
      },
    )
  )


@pytest.mark.parametrize("none", ["None", "none", "NA", "Other", "no_relation"])
def test_the_negative_class_is_first_and_has_one_name(none, tmp_path):
  found = reader(tmp_path, "b", none, "a")
  assert found.relations == ["None", "b", "a"]
  assert [row.relation for row in found.rows("test")] == ["b", "None", "a"]
  renamed = {} if none == "None" else {"negative": none}
  assert found.describe() == {"name": "jsonl"} | renamed


def test_without_a_negative_class_none_has_no_row(tmp_path):
  found = reader(tmp_path, "b", "a", "b", test=["c"])
  assert found.relations == ["None", "b", "a", "c"]
  assert found.negative is None


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("names", "message"),
  [
    (("NA", "Other"), "one name of the negative class, got 'NA' and 'Other'"),
    (("none", "None"), "one name of the negative class, got"),
    (("Other", "none "), "one spelling of each relation, got 'None' and 'none"),
    (("a", "a "), "one spelling of each relation, got 'a' and 'a '"),
  ],
)
def test_two_names_of_one_class_are_refused(names, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    _ = reader(tmp_path, *names).relations


def test_relations_that_are_never_trained_give_a_warning(caplog):
  names = {"train": "ab", "val": "a", "test": "bc"}
  warn_untrained({x: dict.fromkeys(listed) for x, listed in names.items()})
  assert caplog.messages == [
    "test: 1 of 2 relations have no row in train, first 'c' (misspelt?)"
  ]


@pytest.mark.parametrize("none", ["None", "NA"])
def test_a_negative_class_without_a_row_in_train_is_not_misspelt(none, caplog):
  warn_untrained({"train": {"a": None}, "val": {none: None}, "test": {}})
  assert not caplog.messages


def test_bad_rows_can_be_skipped(tmp_path):
  rows = [line(), "{", line(id="x"), line(id="x"), line()]
  found = open_reader(write_jsonl(tmp_path, rows))
  errors = []
  ids = [row.id for row in found.rows("train", on_error=errors.append)]
  assert ids == ["train/1", "x", "train/5"]
  assert [error.where for error in errors] == ["train.jsonl:2", "train.jsonl:4"]
  assert len([*found.rows("train", limit=1)]) == 1
  with pytest.raises(RowError):
    [*found.rows("train")]


def test_a_split_needs_a_row(tmp_path):
  with pytest.raises(ValueError, match="expected rows of val, got none"):
    [*reader(tmp_path, "a", val=[]).rows("val")]


@pytest.mark.parametrize(
  ("files", "shares", "flag"),
  [({"val": ["a.json"]}, (), "--val_files"), ({}, (80, 10, 10), "--split")],
)
def test_files_are_named_only_where_the_format_does_not(
  files, shares, flag, tmp_path
):
  with pytest.raises(ValueError, match=f"{flag}: expected it with --format=fe"):
    open_reader(tmp_path, "jmere", NO_FILES | files, shares)
