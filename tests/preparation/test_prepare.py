"""A preparation from flags to folder: repeated, replaced, skipping, refused."""

import dataclasses
import json
import pathlib
import re

import command_lines
import pytest
import raw_tree
import small_tree
from small_tree import PICTURES, ROWS, read_records

from ifa_jax.data import schema
from ifa_jax.preparation.mnre import builder
from ifa_jax.preparation.mnre import command as mnre
from ifa_jax.preparation.mnre.plan import Planner
from ifa_jax.preparation.mnre.prepare import prepare

pytestmark = pytest.mark.slow


def files_under(folder):
  return sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file())


def test_the_same_again_is_left_alone(settings):
  prepared, _ = prepare(settings())
  before = {p: p.stat().st_mtime_ns for p in files_under(prepared.folder)}
  again, is_new = prepare(settings(overwrite=True))
  assert (again, is_new) == (prepared, False)
  assert before == {p: p.stat().st_mtime_ns for p in files_under(again.folder)}


def test_other_settings_need_overwrite(settings):
  prepared, _ = prepare(settings())
  with pytest.raises(ValueError, match="expected text_len 40, got 80"):
    prepare(settings(text_len=40))
  replaced, is_new = prepare(settings(text_len=40, overwrite=True))
  assert is_new
  assert replaced.folder == prepared.folder
  assert replaced.metadata["text_len"] == 40
  # A picture that has come since makes another dataset, too.
  raw_dir = pathlib.Path(settings().raw_dir)
  (raw_dir / "img_org/train/gone.jpg").write_bytes(raw_tree.jpeg())
  with pytest.raises(ValueError, match=r"expected pictures .*, got "):
    prepare(settings(text_len=40))


def test_a_failed_run_leaves_what_was_there(settings, tmp_path):
  boxes = str(tmp_path / "boxes.json")
  prepared, _ = prepare(settings())
  before = [(p, p.read_bytes()) for p in files_under(prepared.folder)]
  broken = pathlib.Path(settings().raw_dir) / "img_org/train/a.jpg"
  broken.write_bytes(b"no picture")
  with pytest.raises(
    ValueError, match=r"ours_train\.txt:1: bad picture: .*a.jpg"
  ):
    prepare(settings(overwrite=True))
  data_dir = pathlib.Path(settings().data_dir)
  assert before == [(p, p.read_bytes()) for p in files_under(data_dir)]
  for folder in (data_dir, data_dir / "new"):
    with pytest.raises(ValueError, match=r"bad picture: .*a.jpg"):
      prepare(settings(data_dir=str(folder), protocol="clean", boxes=boxes))
  assert [x.name for x in (data_dir / "mnre").iterdir()] == ["none"]
  assert not (data_dir / "new").exists()


@pytest.mark.silent_input
def test_a_dataset_that_has_come_meanwhile_is_kept(settings, monkeypatch):
  version = f"{schema.FORMAT_VERSION}.0.0"
  folder = pathlib.Path(settings().data_dir) / "mnre" / "none" / version

  def write(new, *_):
    """Ends after a preparation by another process."""
    for path in (pathlib.Path(new), folder):
      path.mkdir(parents=True)
    (folder / "metadata.json").write_text("of another process")

  monkeypatch.setattr(builder, "write", write)
  wanted = f"{folder}: expected no dataset, got one that another process has"
  with pytest.raises(ValueError, match=wanted):
    prepare(settings())
  (written,) = files_under(settings().data_dir)
  assert written.read_text() == "of another process"


def test_skipped_rows_are_counted_and_listed(settings, tmp_path):
  rows = [*ROWS, "[]", {**ROWS[0], "relation": "/x"}, ROWS[1]]
  raw_dir = raw_tree.write_tree(
    tmp_path / "other", rows, {**PICTURES, "val/gone.jpg": b"no picture"}
  )
  prepared, _ = prepare(settings(raw_dir=raw_dir, on_error="skip"))
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 3)
  _, records = read_records(prepared)
  assert [r["id"] for r in records] == [b"train/1", b"train/2", b"train/6"]
  counts = prepared.metadata["counts"]["val"]["skipped"]
  reasons = ["bad picture", "not a dict literal", "unknown relation"]
  assert counts == dict.fromkeys(reasons, 1)
  text = (pathlib.Path(prepared.folder) / "skipped.jsonl").read_text()
  listed = [json.loads(line) for line in text.splitlines()]
  assert len(listed) == 9
  assert {row["split"] for row in listed} == set(schema.SPLITS)
  lengths = schema.read_text_lengths(prepared.folder, "train", 3)
  assert lengths.tolist() == [len(r["input_ids"]) for r in records]
  assert {"ours_val.txt:3", "ours_val.txt:4"} <= {
    row["where"] for row in listed
  }


def test_rows_without_pixels_can_be_skipped(settings):
  prepared, _ = prepare(settings(missing_pixels="error", on_error="skip"))
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 2)
  counts = prepared.metadata["counts"]["train"]
  assert counts["skipped"] == {"missing pixels": 1}


@pytest.mark.silent_input
def test_a_text_without_a_line_of_its_crop_lists_is_refused(settings):
  asked = settings(protocol="released")
  small_tree.add_dictionaries(asked.raw_dir)
  text = pathlib.Path(asked.raw_dir) / "txt" / "ours_val.txt"
  text.write_text(text.read_text().split("\n", 1)[1])
  message = r"mre_val_dict\.pth: expected .* 2 lines of ours_val.txt, got 3$"
  with pytest.raises(ValueError, match=message):
    Planner(asked)
  Planner(dataclasses.replace(asked, limit=2))


def test_missing_files_are_listed_before_any_work(settings):
  asked = settings(protocol="released", missing_pixels="error")
  small_tree.add_dictionaries(asked.raw_dir)
  with pytest.raises(
    ValueError, match="pictures or crops have no file"
  ) as error:
    prepare(asked)
  # Of each split: gone.jpg, x.jpg, v.jpg; y.jpg is there for train only.
  assert str(error.value).startswith("11 pictures or crops have no file (")
  assert "3 in img_org" in str(error.value)
  assert "img_vg/train/crops/x.jpg (ours_train.txt:1)" in str(error.value)
  assert not pathlib.Path(asked.data_dir).exists()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"text_len": 11}, r"ours_train\.txt:1: text too long: the"),
    (
      {"image_size": 33},
      r"^--image_size: expected a multiple of --patch_size 8, got 33$",
    ),
    (
      {"boxes": {"a.jpg": [{"box": [60, 0, 70, 9], "score": 1}]}},
      r"boxes of 'a\.jpg', box 0: .* expected a part of",
    ),
  ],
)
def test_rows_that_cannot_be_prepared_are_named(
  settings, tmp_path, changes, message
):
  if "boxes" in changes:
    path = tmp_path / "outside.json"
    path.write_text(json.dumps(changes["boxes"]))
    changes = {"boxes": str(path)}
  with pytest.raises(ValueError, match=message):
    prepare(settings(**changes))


def test_the_summary_names_every_count(settings, capsys):
  prepared, _ = prepare(settings(missing_pixels="error", on_error="skip"))
  capsys.readouterr()
  mnre.show(prepared, is_new=True)
  shown = capsys.readouterr().out
  assert "Prepared: protocol none, missing pixels error" in shown
  for line in (r"rows +│ +2 │ +2 │ +2", r"skipped: missing pixels +│ +1 │"):
    assert re.search(line, shown), shown
  assert shown.splitlines()[-1] == prepared.folder


def test_the_command_fails_with_one_line(settings):
  asked = settings()
  path = pathlib.Path(asked.raw_dir) / "txt/ours_val.txt"
  path.write_text("{'token': [\n")
  names = ("raw_dir", "data_dir", "tokenizer")
  line = ["data_prep/mnre.py"]
  line += [f"--{name}={getattr(asked, name)}" for name in names]
  done = command_lines.run_all(
    {
      "bad row": [*line, "--protocol=none"],
      "bad flag": [*line, "--protocol=cleanish"],
      "no protocol": line,
      "help": [line[0], "--help"],
    },
    loaded=["ifa_jax.preparation.mnre.prepare"],
  )
  assert [outcome.status for outcome in done.values()] == [1, 2, 2, 0]
  errors = {name: outcome.err for name, outcome in done.items()}
  *_, last = errors["bad row"].splitlines()
  assert last.startswith("error: ours_val.txt:1: not a dict literal")
  assert "cleanish" in errors["bad flag"]
  assert "--protocol" in errors["no protocol"]
  assert not any("Traceback" in error for error in errors.values())
  for field in dataclasses.fields(asked):
    assert re.search(rf"--(\[no\])?{field.name}:", done["help"].out)
