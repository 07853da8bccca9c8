"""JMERE's files: a row for each relation of a text."""

import json

import pytest
from format_files import open_reader

from ifa_jax.data import schema
from ifa_jax.data.mnre.row import Row, RowError


def relation(head, tail, name="member_of", **changes):
  return [
    {
      "beg_ent": {"name": head[0], "pos": list(head[1:]), "tags": "per"},
      "sec_ent": {"name": tail[0], "pos": list(tail[1:]), "tags": "org"},
      "relation": name,
      **changes,
    }
  ]


ANN, BEN, ACME = ("Ann Lee", 0, 2), ("Ben", 3, 4), ("Acme", 5, 6)
TEXT = {
  "token": ["Ann", "Lee", "and", "Ben", "of", "Acme"],
  "img_id": "a.jpg",
  "label_list": [relation(ANN, ACME), relation(BEN, ANN, "peer")],
}


def read(folder, texts):
  for split in schema.SPLITS:
    (folder / f"{split}.json").write_text(json.dumps(texts))
  return open_reader(folder, "jmere")


def test_each_relation_is_a_row(tmp_path):
  reader = read(tmp_path, [TEXT, TEXT | {"img_id": "b.jpg"}])
  first, second, third, _ = reader.rows("val")
  assert first == Row(
    split="val",
    line=1,
    words=tuple(TEXT["token"]),
    head=(0, 2),
    tail=(5, 6),
    head_name="Ann Lee",
    tail_name="Acme",
    img_id="a.jpg",
    relation="member_of",
    place="val.json: text 1, relation 1",
  )
  assert (second.head, second.tail, second.relation) == ((3, 4), (0, 2), "peer")
  assert (third.id, third.img_id) == ("val/3", "b.jpg")
  assert reader.relations == ["None", "member_of", "peer"]


def listed(*triples):
  return TEXT | {"label_list": [relation(ANN, ACME), *triples]}


BAD = {
  r"text 2: wrong type: expected a list as 'token'": {"token": ["a"]},
  r"text 2: bad token list": TEXT | {"token": []},
  r"text 2: img_id leaves the data folder": TEXT | {"img_id": "../a.jpg"},
  r"text 2, relation 2: wrong type: expected a list of one": listed([]),
  r"text 2, relation 2: wrong type: .*relation,": listed(
    relation(ANN, ACME, 3)
  ),
  r"text 2, relation 2: bad span: expected 'sec_ent'": listed(
    relation(ANN, ("Acme", 5, 7))
  ),
  r"text 2, relation 2: name differs from span: expected 'beg_ent'": listed(
    relation(("Ann Lee", 0, 1), ACME)
  ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_rows_are_named_by_text_and_relation(message, tmp_path):
  with pytest.raises(RowError, match=rf"train\.json: {message}"):
    [*read(tmp_path, [TEXT, BAD[message]]).rows("train")]


def test_other_json_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r"json: expected a list of texts, got"):
    [*read(tmp_path, {"token": []}).rows("train")]
