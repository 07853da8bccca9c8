"""Any bytes as files of other formats: well-formed rows, or one line."""

import json

import fuzzing
import object_trees
import pytest
from format_files import NO_FILES, few, line, open_reader, write_jsonl
from hypothesis import strategies as st

ENTITY = {"name": "Bill Cosby", "pos": [0, 2], "tags": "per"}
TRIPLE = {"beg_ent": ENTITY, "sec_ent": ENTITY, "relation": "peer"}
SOUND = {
  "fewrel": {"P17": [few("Rome is in Italy", [0], [3])] * 2, "NA": []},
  "jmere": [
    {
      "token": ["Bill", "Cosby", "in", "Rome"],
      "img_id": "a.jpg",
      "label_list": [[TRIPLE], [TRIPLE]],
    }
  ],
}
BOX = {"box": [0, 0, 9, 9], "score": 1, "phrase": "Bill"}
LINE = line(
  head={"start": 0, "end": 10, "name": "Bill Cosby"},
  image="a.jpg",
  boxes=[BOX],
  caption="a man",
)


def read_all(folder, name, files=NO_FILES, where="train.json"):
  """Returns the rows of train, or [] for an error of the whole file."""
  errors = []

  def rows():
    reader = open_reader(folder, name, files)
    return [*reader.rows("train", on_error=errors.append)]

  found = fuzzing.read(rows, folder, where, str(folder))
  for error in errors:
    assert str(error).startswith(where), error
    assert len(str(error)) < 500
    assert len(str(error).splitlines()) == 1
  rows = [] if isinstance(found, Exception) else found
  for row in rows:
    fuzzing.check_row(row)
  return len(rows)


@pytest.mark.parametrize("name", SOUND)
def test_any_json_is_rows_or_errors(name, tmp_path, thorough):
  files = {"train": ["train.json"], "val": ["val.json"], "test": ["test.json"]}
  for split in ("val", "test"):
    (tmp_path / f"{split}.json").write_text(json.dumps(SOUND[name]))
  num_read = []

  def body(content):
    (tmp_path / "train.json").write_bytes(content)
    asked = files if name == "fewrel" else NO_FILES
    num_read.append(read_all(tmp_path, name, asked))

  fuzzing.check(
    body, fuzzing.json_texts(SOUND[name]), thorough=thorough, few=150
  )
  assert 0 in num_read
  assert max(num_read) > 1


def test_any_bytes_are_lines_or_errors(tmp_path, thorough):
  write_jsonl(tmp_path, [line()])
  sound = json.dumps(LINE).encode() + b"\n"
  num_read = []

  def body(content):
    (tmp_path / "train.jsonl").write_bytes(content)
    num_read.append(read_all(tmp_path, "jsonl"))

  contents = st.one_of(
    fuzzing.damaged(sound * 3),
    st.one_of(fuzzing.altered(LINE), fuzzing.altered(line())).map(
      lambda value: sound + json.dumps(value).encode()
    ),
  )
  fuzzing.check(body, contents, thorough=thorough, few=200)
  assert 0 in num_read
  assert max(num_read) > 1


def test_any_lines_and_objects_are_rows_or_errors(tmp_path, thorough):
  sound, objects = object_trees.row(), {"a.jpg": object_trees.UMRE_OBJECTS}
  object_trees.write_umre(tmp_path, [sound])
  num_read = []

  def body(line, listed):
    text = f"{sound!r}\n{line!r}\n".encode(errors="surrogateescape")
    (tmp_path / "umke_partner/train_set.json").write_bytes(text)
    (tmp_path / "umke_partner/pos_umke.json").write_text(json.dumps(listed))
    num_read.append(read_all(tmp_path, "umre", where="train_set.json"))

  fuzzing.check(
    body,
    fuzzing.altered(sound),
    fuzzing.altered(objects) | st.just(objects),
    thorough=thorough,
    few=200,
  )
  assert 0 in num_read
  assert max(num_read) > 1
