"""The journal of results by picture: continued, damaged, and refused ones."""

import pytest

from ifa_jax.preparation.per_picture.journal import Journal
from ifa_jax.preparation.per_picture.pictures import Wanted

MODEL = {"name": "detr", "commit": None, "sha256": "ab" * 32}
SETTINGS = {"threshold": 0.1, "detector": MODEL, "grounder": None}
FIRST, SECOND = (Wanted(f"{x}.jpg", f"/{x}.jpg", ("Rome",), 9) for x in "ab")
BOX = {"box": [0, 0, 9, 9], "score": 0.5, "label": "dog"}


@pytest.fixture
def path(tmp_path):
  """A journal with two batches of one picture each."""
  path = tmp_path / "journal.jsonl"
  with Journal(str(path), "boxes", SETTINGS, {"torch": "2"}) as journal:
    journal.write([FIRST], [[BOX]], [None])
    journal.write([SECOND], [[]], [None])
  return path


def reopen(path, **changes):
  """Returns the entries of both pictures."""
  with Journal(str(path), "boxes", SETTINGS | changes, {}) as journal:
    return [journal.entry(picture) for picture in (FIRST, SECOND)]


def test_entries_come_back_unless_the_picture_has_changed(path):
  first, second = reopen(path)
  assert (first["boxes"], first["reason"]) == ([BOX], None)
  assert (second["boxes"], second["reason"]) == ([], None)
  with Journal(str(path), "boxes", SETTINGS, {}) as journal:
    assert journal.entry(FIRST._replace(path="/moved.jpg")) == first
    for changes in ({"name": "c"}, {"num_bytes": 8}, {"names": ("Ann",)}):
      assert journal.entry(FIRST._replace(**changes)) is None
    journal.write([FIRST], [[]], [None])
  assert reopen(path)[0]["boxes"] == []


@pytest.mark.silent_input
def test_a_picture_that_could_not_be_read_is_tried_again(path):
  third = FIRST._replace(name="c.jpg")
  with Journal(str(path), "boxes", SETTINGS, {}) as journal:
    journal.write([third, SECOND], [None, None], ["no disk", "no disk"])
    assert journal.entry(third)["reason"] == "no disk"
  with Journal(str(path), "boxes", SETTINGS, {}) as journal:
    assert (journal.entry(third), journal.entry(SECOND)) == (None, None)
    assert journal.entry(FIRST)["boxes"] == [BOX]
    journal.write([third], [[BOX]], [None])
  with Journal(str(path), "boxes", SETTINGS, {}) as journal:
    assert journal.entry(third)["boxes"] == [BOX]


def test_a_line_that_a_kill_cut_off_is_dropped(path):
  whole = path.read_bytes()
  path.write_bytes(whole[:-9])
  first, second = reopen(path)
  assert (first["boxes"], second) == ([BOX], None)
  with Journal(str(path), "boxes", SETTINGS, {}) as journal:
    journal.write([SECOND], [[]], [None])
  assert path.read_bytes() == whole
  path.write_bytes(whole[:7])
  assert reopen(path) == [None, None]


def test_a_damaged_journal_is_refused(path):
  first, second, third = path.read_bytes().splitlines(keepends=True)
  path.write_bytes(first + second[:40] + b"\n" + third)
  with pytest.raises(ValueError, match=r"jsonl:2: expected a journal's line"):
    reopen(path)
  path.write_bytes(second + third)
  with pytest.raises(ValueError, match=r"jsonl:1: .* 'settings', got"):
    reopen(path)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"threshold": 0.3}, "expected threshold 0.3, got 0.1; set that again"),
    ({"max_objects": 5}, "expected max_objects 5, got None"),
    ({"detector": None}, r"expected detector None, got detr \(sha256 \w{12}\)"),
    ({"detector": MODEL | {"sha256": "c"}}, r"detector detr \(sha256 c\), got"),
  ],
)
def test_other_settings_are_refused(path, changes, message):
  with pytest.raises(ValueError, match=message):
    reopen(path, **changes)
  assert reopen(path, detector=MODEL | {"name": "/moved", "commit": "f"})


def test_two_processes_do_not_write_one_journal(path):
  with (
    Journal(str(path), "boxes", SETTINGS, {}),
    pytest.raises(ValueError, match="another process is writing to it"),
  ):
    reopen(path)


def test_results_of_another_kind_are_refused(path):
  with pytest.raises(ValueError, match=r"jsonl:2: expected a journal's line"):
    Journal(str(path), "caption", SETTINGS, {})
