"""JSON lines: offsets by characters and by words, and bad lines."""

import json

import pytest
from format_files import line, open_reader, write_jsonl

from ifa_jax.data.images.boxes import Box
from ifa_jax.data.mnre.row import Row, RowError

BOX = {"box": [2, 3, 40, 50], "score": 0.5}


def read(folder, *rows):
  return [*open_reader(write_jsonl(folder / "raw", [*rows])).rows("val")]


def test_a_row_is_read_whole(tmp_path):
  full = line(
    head={"start": 0, "end": 10, "name": "Bill  Cosby", "type": "person"},
    image="a.png",
    boxes=[BOX],
    caption=" a man ",
    id="post 7",
  )
  reader = open_reader(write_jsonl(tmp_path, [full]))
  (row,) = reader.rows("train")
  assert row == Row(
    split="train",
    line=1,
    words=("Bill", "Cosby", "in", "Hollywood"),
    head=(0, 2),
    tail=(3, 4),
    head_name="Bill Cosby",
    tail_name="Hollywood",
    img_id="a.png",
    relation="visits",
    caption="a man",
    place="train.jsonl:1",
    name="post 7",
  )
  assert (row.id, row.where) == ("post 7", "train.jsonl:1")
  assert reader.boxes == {"a.png": [Box((2, 3, 40, 50), 0.5, None, 0)]}
  assert reader.relations == ["None", "visits"]


def test_a_row_may_have_no_picture_and_no_id(tmp_path):
  first, second = read(tmp_path, line(), line())
  assert (first.img_id, first.id, second.id) == ("", "val/1", "val/2")


@pytest.mark.parametrize(
  ("text", "head", "tail", "words"),
  [
    # An emoji is one code point, a letter with a combining accent two.
    (
      "\U0001f600 Ann, of Acme.",
      (2, 5),
      (10, 14),
      "\U0001f600|Ann|,|of|Acme|.",
    ),
    ("Zoe\u0308 loves #Rome", (0, 4), (12, 16), "Zoe\u0308|loves|#|Rome"),
    ("安娜在北京的微软工作", (0, 2), (6, 8), "安娜|在北京的|微软|工作"),
    ("สมชายอยู่เชียงใหม่", (0, 5), (9, 18), "สมชาย|อยู่|เชียงใหม่"),
  ],
)
def test_characters_are_code_points_and_entities_are_words(
  text, head, tail, words, tmp_path
):
  (row,) = read(tmp_path, line(text, head, tail))
  assert "|".join(row.words) == words
  for span, (begin, end) in ((row.head, head), (row.tail, tail)):
    assert "".join(row.words[slice(*span)]) == text[begin:end]


def test_words_are_those_of_a_list_or_between_spaces(tmp_path):
  words = ["Ann", "of", "New", "York", "."]
  listed = line(words, (0, 1), (2, 4))
  spaced = line("Ann of New York .", (0, 1), (2, 4), offsets="words")
  first, second = read(tmp_path, listed, spaced)
  assert first.words == second.words == tuple(words)
  assert first.tail == second.tail == (2, 4)
  assert (first.head_name, first.tail_name) == ("Ann", "New York")


def named(name, start=0, end=10):
  return {"start": start, "end": end, "name": name}


CONVENTION = r"characters \[start, end\) counted in code points from 0, the end"
BAD = {
  "{": "not a JSON object: .*: column 2",
  "": "not a JSON object: expected a row, got an empty line$",
  "[1]": r"not a JSON object: got \[1\]",
  '{"text": NaN}': "not a JSON object: .*NaN",
  '{"text": "a", "text": "b"}': "repeated key: .*'text' 2 times",
  json.dumps(line(relation=None)): "missing key: expected 'relation', got",
  json.dumps(line(img="a.jpg")): r"unknown key: expected .*image.* got 'img'",
  json.dumps(line(head=named("x") | {"stop": 3})): "unknown key: .*'stop'",
  json.dumps(line(text=" ")): "bad text: ",
  json.dumps(line(text=3)): "bad token list: expected words",
  json.dumps(line(text="\ud83d Bill in Rome")): "bad text: ",
  json.dumps(line(offsets="bytes")): "bad offsets: expected 'characters' or",
  json.dumps(line(["a", "b"], offsets="characters")): "'words' as 'offsets'",
  json.dumps(line(offsets=False)): "bad offsets: .*of a string, got False",
  json.dumps(line(offsets=0)): "bad offsets: .*of a string, got 0",
  json.dumps(line(["a", "b"], offsets="")): "bad offsets: .* words, got ''",
  json.dumps(line(head=[0, 10])): "wrong type: expected an object of start",
  json.dumps(line(head={"start": 0, "end": True})): "wrong type: expected two",
  json.dumps(line(head=named(3))): "wrong type: expected two integers",
  json.dumps(
    line(tail=(14, 24))
  ): rf"bad span: expected 'tail' in the 23 .*{CONVENTION}.*\[14, 24\)",
  json.dumps(
    line(["Ann", "of", "Rome"], (2, 2), (0, 1))
  ): r"3 words .*the end exclusive, got \[2, 2\)",
  json.dumps(line(relation=3)): "wrong type: expected a relation, got 3",
  json.dumps(line(relation="a\nb")): "unknown relation: .*printable",
  json.dumps(line(image="../a.jpg")): "image leaves the data folder",
  json.dumps(line(image="")): "bad image: expected the bare name .*, got ''$",
  json.dumps(line(caption="a man")): "missing key: expected 'image' with",
  json.dumps(line(image="a.jpg", caption=3)): "expected a text in 'caption'",
  json.dumps(
    line(image="a.jpg", boxes=[{"box": [1, 2]}])
  ): "bad boxes: boxes, box 0: ",
  json.dumps(line(id=7)): "wrong type: expected a text as 'id', got 7",
}


@pytest.mark.parametrize("bad", BAD, ids=[x[:24] for x in BAD.values()])
def test_bad_lines_are_named_by_file_and_line(bad, tmp_path):
  with pytest.raises(RowError, match=BAD[bad]) as error:
    read(tmp_path, line(), bad)
  assert str(error.value).startswith("val.jsonl:2: ")
  assert len(str(error.value)) < 400
  assert "\n" not in str(error.value)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("head", "there"),
  [
    ((0, 9), "'Bill Cosb'"),  # The end inclusive.
    ((1, 11), "'ill Cosby '"),  # From 1.
    ((1, 10), "'ill Cosby'"),  # From 1, the end inclusive.
    ((0, 11), "'Bill Cosby '"),  # One too far.
  ],
)
def test_offsets_that_are_one_off_are_refused(head, there, tmp_path):
  with pytest.raises(RowError, match=rf"{CONVENTION}.*which is {there} in"):
    read(tmp_path, line(head=head))
  with pytest.raises(RowError, match="name differs from span"):
    read(tmp_path, line(head=named("Billy", *head)))


@pytest.mark.silent_input
def test_offsets_in_utf16_are_refused(tmp_path):
  text = "\U0001f600 Ann of Acme"
  with pytest.raises(RowError, match="code points"):
    read(tmp_path, line(text, (3, 6), (10, 14)))


@pytest.mark.silent_input
def test_a_name_confirms_a_part_of_a_word(tmp_path):
  text = "the Americans in Rome"
  with pytest.raises(RowError, match="'name' confirms part of a word"):
    read(tmp_path, line(text, (4, 12), (17, 21)))
  (row,) = read(
    tmp_path, line(text, tail=(17, 21), head=named("American", 4, 12))
  )
  assert row.words == ("the", "American", "s", "in", "Rome")


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "head", "tail"),
  [
    ("\U0001f469\u200d\U0001f680 x", (2, 3), (4, 5)),  # An astronaut's rocket.
    ("\U0001f469\u200d\U0001f680 x", (0, 2), (4, 5)),
    ("Zoe\u0308 x", (3, 4), (5, 6)),
  ],
)
def test_a_part_of_an_emoji_or_a_letter_is_no_word(text, head, tail, tmp_path):
  with pytest.raises(
    RowError, match=r"val\.jsonl:1: bad span: .*begin and end"
  ):
    read(tmp_path, line(text, head, tail))
  name = text[slice(*head)]
  (row,) = read(tmp_path, line(text, named(name, *head), tail))
  assert row.head_name == name


def test_a_joiner_may_end_a_word_before_an_entity(tmp_path):
  text = "അവന\u0d4d\u200d\U0001f680 x"
  (row,) = read(tmp_path, line(text, (5, 6), (7, 8)))
  assert row.head_name == "\U0001f680"


@pytest.mark.silent_input
def test_words_with_another_name_are_refused(tmp_path):
  words = ["Ann", "of", "Rome"]
  row = line(words, tail=(2, 3), head=named("Ann", 1, 2))
  with pytest.raises(RowError, match=r"named 'of', its words .*got 'Ann'"):
    read(tmp_path, row)


@pytest.mark.silent_input
def test_boxes_belong_to_a_picture_and_not_to_a_row(tmp_path):
  with_boxes = line(image="a.jpg", boxes=[BOX])
  without = line(image="a.jpg")
  assert len(read(tmp_path, with_boxes, without)) == 2
  with pytest.raises(RowError, match=r"val\.jsonl:2: bad boxes: .*'a\.jpg'"):
    read(tmp_path, with_boxes, with_boxes | {"boxes": [BOX, BOX]})


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "changes", [{"id": ""}, {"id": "x"}, {"head": (0, 99)}, {"caption": 3}]
)
def test_the_boxes_of_a_dropped_row_are_not_kept(changes, tmp_path):
  first = line(id="x")
  bad = line(image="a.jpg", boxes=[BOX, BOX], **changes)
  good = line(image="a.jpg", boxes=[BOX])
  reader = open_reader(write_jsonl(tmp_path, [first, bad, good]))
  errors = []
  kept = [row.line for row in reader.rows("val", on_error=errors.append)]
  assert (kept, len(errors)) == ([1, 3], 1)
  assert [box.edges for box in reader.boxes["a.jpg"]] == [(2, 3, 40, 50)]


@pytest.mark.silent_input
def test_ids_are_unique_in_a_split(tmp_path):
  with pytest.raises(RowError, match=r"val\.jsonl:2: repeated id: .*'x' again"):
    read(tmp_path, line(id="x"), line(id="x"))


def test_dev_is_another_name_of_val(tmp_path):
  folder = tmp_path / "raw"
  write_jsonl(folder, {"train": [line()], "dev": [line()], "test": [line()]})
  (row,) = open_reader(folder).rows("val")
  assert (row.id, row.where) == ("val/1", "dev.jsonl:1")
  write_jsonl(folder, {"val": [line()]})
  with pytest.raises(ValueError, match=r"val\.jsonl or dev\.jsonl, got both"):
    open_reader(folder)
  with pytest.raises(ValueError, match=r"expected train\.jsonl, got no such"):
    open_reader(tmp_path)


def test_an_endless_line_is_not_read_to_its_end(tmp_path):
  write_jsonl(tmp_path, [line(), "x" * (1 << 21), line()])
  with pytest.raises(RowError, match=r"val\.jsonl:2: .*longer than 1048576"):
    [*open_reader(tmp_path).read("val")]
