"""All pairs of a post: as single posts, with offsets that are checked."""

import itertools
import json
import re
import types

import numpy as np
import pytest

from ifa_jax import predict
from ifa_jax.inference import choose_flags
from ifa_jax.inference.choose import Choice
from ifa_jax.inference.pairs import read_entities

TEXT = "Ann Lee, of Acme joins Bob in Rome"
NAMES = {"Ann Lee": "per", "Acme": "org", "Bob": "per", "Rome": "loc"}


def entity(name, text=TEXT, **more):
  start = text.index(name)
  return {"start": start, "end": start + len(name), **more}


ENTITIES = [entity(name, type=kind) for name, kind in NAMES.items()]
ALL = {"text": TEXT, "entities": ENTITIES, "id": 7}


def marked(head, tail):
  """The text with the markers of one pair, from the last place on."""
  text = TEXT
  places = [(head, "<s>", "</s>"), (tail, "<o>", "</o>")]
  for x, opening, closing in sorted(places, key=lambda p: -p[0]["start"]):
    begin, end = x["start"], x["end"]
    text = text[:begin] + opening + text[begin:end] + closing + text[end:]
  return text


def test_each_pair_is_predicted_as_a_post_of_its_own(predictor, posts):
  seen = {key: posts[0][key] for key in ("image", "boxes", "caption")}
  choice = Choice(probabilities=True, allowed=dict.fromkeys(["None"], ([], [])))
  record, again = predictor.predict_all([ALL | seen, ALL], 5, choice)
  assert len(again["relations"]) == len(record["relations"]) == 12
  found = {(x["head"], x["tail"]): x for x in record["relations"]}
  for head, tail in itertools.permutations(range(4), 2):
    text = marked(ENTITIES[head], ENTITIES[tail])
    alone = predictor.predict({"text": text, **seen})["probabilities"]
    np.testing.assert_allclose(
      [*found[head, tail]["probabilities"].values()],
      [*alone.values()],
      atol=1.5e-6,
    )


def test_a_record_holds_the_post_and_its_relations(predictor):
  record = predictor.predict(ALL)
  assert list(record) == ["text", "entities", "id", "relations", "protocol"]
  assert [x["name"] for x in record["entities"]] == [*NAMES]
  assert all(x["relation"] != "None" for x in record["relations"])
  assert predictor.predict(record) == record


def test_posts_of_both_kinds_keep_their_order(predictor):
  one = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme"}
  one["entities"] = None
  bad = {"text": TEXT, "entities": [{"start": 3, "end": 3}]}
  none = {"text": TEXT, "entities": []}
  found = list(predictor.predict_all([one, ALL, bad, none, one], 3))
  assert "relation" in found[0]
  assert "relations" in found[1]
  assert "entities[0]: expected start < end" in found[2]["error"]
  assert found[3]["relations"] == []
  assert found[4]["relation"] == found[0]["relation"]


def test_a_pair_that_does_not_fit_is_named(predictor):
  text = f"Ann Lee, of Acme {'x ' * 90}"
  entities = [
    {"start": start, "end": end} for start, end in ((0, 7), (12, 16), (17, 196))
  ]
  (record,) = predictor.predict_all([{"text": text, "entities": entities}])
  assert record["error"].startswith(
    "entities[0], entities[2]: the two entities take 9"
  )


ACME = "Ann is at Acme today"
AT = "at characters {} (Unicode code points, end exclusive), got"


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "wrong", "message"),
  [
    (
      ACME,
      {"start": 11, "end": 16},
      f"expected whole words {AT.format('11:16')} 'cme t'; 'Acme' is at 10:14",
    ),
    (ACME, {"start": 10, "end": 13}, "got 'Acm'; 'Acme' is at 10:14"),
    (ACME, {"start": 9, "end": 14}, "got ' Acme'; 'Acme' is at 10:14"),
    (
      ACME,
      {"start": 15, "end": 20, "name": "Acme"},
      "expected the name 'Acme' "
      f"{AT.format('15:20')} 'today'; 'Acme' is at 10:14",
    ),
    (
      "\U0001f600 Acme here",
      {"start": 3, "end": 7, "name": "Acme"},
      "is at 2:6; the offsets would fit in UTF-16 code units",
    ),
    (
      "é Acme here",
      {"start": 3, "end": 7, "name": "Acme"},
      "the offsets would fit in bytes of UTF-8",
    ),
    (
      "At\r\nAcme here",
      {"start": 3, "end": 7, "name": "Acme"},
      "the offsets would fit if CRLF were one character",
    ),
    (ACME, {"start": 3, "end": 4, "name": "Acme"}, "would fit in words"),
    (ACME, {"start": 10, "end": 14, "name": "Bob"}, "does not contain it"),
    (ACME, {"start": 14, "end": 10}, "within the text's 20 characters"),
    (ACME, {"start": 10, "end": 21}, "got 10:21"),
    ("Jose\u0301 left", {"start": 0, "end": 4}, "got 'Jose'; 'Jose\u0301'"),
    (
      "Jose\u0301 \U0001f600 left",
      {"start": 7, "end": 12},
      f"{AT.format('7:12')} ' left'; 'left' is at 8:12",
    ),
    (
      "At\r\nAcme here",
      {"start": 3, "end": 7},
      f"{AT.format('3:7')} '\\nAcm'; 'Acme' is at 4:8",
    ),
    (
      "\U0001f469\u200d\U0001f680 left",
      {"start": 2, "end": 3},
      f"expected whole words {AT.format('2:3')} '\U0001f680'",
    ),
    (ACME.split(), {"start": 3, "end": 4, "name": "at"}, "'at' is at 2:3"),
  ],
)
def test_offsets_that_do_not_fit_name_the_convention(text, wrong, message):
  with pytest.raises(ValueError, match=re.escape(message)) as error:
    read_entities({"text": text, "entities": [wrong]})
  assert str(error.value).startswith("entities[0]: expected")


def test_a_word_may_begin_with_a_mark_or_a_joiner():
  words = ["\u0301", "\u200d\U0001f680", "a"]
  listed = [{"start": i, "end": i + 1} for i in range(3)]
  assert read_entities({"text": words, "entities": listed}).names == words


def test_equal_spans_are_an_error_and_overlapping_ones_are_not():
  first = entity("Ann Lee")
  nested = entity("Lee")
  crossing = {"start": 4, "end": 16}
  found = read_entities({"text": TEXT, "entities": [first, nested, crossing]})
  assert found.names == ["Ann Lee", "Lee", "Lee, of Acme"]
  with pytest.raises(ValueError, match=r"entities\[1\]: expected another text"):
    read_entities({"text": TEXT, "entities": [first, first]})


def test_words_are_narrowed_to_the_name():
  listed = [{"start": 1, "end": 2, "name": "Lee"}, {"start": 4, "end": 5}]
  for post in ({"text": TEXT.split()}, {"text": TEXT, "offsets": "words"}):
    assert read_entities({**post, "entities": listed}).names == ["Lee", "joins"]


def test_a_file_becomes_a_folder_for_brat(predictor, tmp_path):
  source, folder = tmp_path / "posts.jsonl", tmp_path / "brat"
  source.write_text(f"{json.dumps(ALL)}\n{json.dumps({'text': TEXT})}\n")
  choice = Choice(allowed=dict.fromkeys(["None"], ([], [])), top_k=3)
  found = predict.predict_file(
    *(predictor, str(source), str(folder), 4), choice=choice, form="brat"
  )
  assert found == (2, 1)
  names = sorted(path.name for path in folder.iterdir())
  assert names == ["7.ann", "7.txt", "annotation.conf"]
  lines = (folder / "7.ann").read_text().splitlines()
  assert [line.split("\t")[0] for line in lines] == (
    ["T1", "T2", "T3", "T4", "R1", "R2", "R3"]
  )


def test_flags_are_a_choice(tmp_path):
  file = tmp_path / "thresholds.json"
  file.write_text('{"/per/per/couple": 0.5}')
  given = {"threshold": str(file), "top_k": 2, "allowed": "names"}
  given |= {"symmetric": ["/per/per/couple"], "probabilities": True}
  choice = choose_flags.read(types.SimpleNamespace(**given))
  thresholds = {"/per/per/couple": 0.5}
  assert choice == Choice(thresholds, 2, "names", ["/per/per/couple"], True)
  number = types.SimpleNamespace(**given | {"threshold": "0.25"})
  choice = choose_flags.read(number)
  assert choice == Choice(0.25, 2, "names", ["/per/per/couple"], True)
  file.write_text("[]")
  with pytest.raises(ValueError, match="--threshold: expected an object"):
    choose_flags.read(types.SimpleNamespace(**given))


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("more", "message"),
  [
    ({"head": "Ann Lee"}, "head: expected none in a post with entities"),
    ({"entities": {}}, "entities: expected a list"),
    ({"entities": [entity("Bob")] * 101}, "at most 100, got 101"),
    ({"entities": [[0, 3]]}, r"entities\[0\]: expected an object"),
    ({"entities": [entity("Bob", type=3)]}, r"entities\[0\].type: expected"),
    ({"offsets": "bytes"}, "offsets: expected words or characters"),
    (
      {"offsets": "characters", "text": ["Bob"]},
      "offsets: expected words, got",
    ),
  ],
)
def test_malformed_entities_are_an_error(more, message):
  with pytest.raises(ValueError, match=message):
    read_entities(ALL | more)
