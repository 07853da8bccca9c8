"""Posts: an entity is found, or an error gives the reason."""

import random

import pytest

from ifa_jax.data.text.markers import Cut
from ifa_jax.inference.post import parse_span, read_post


def read(text, head, tail, **spans):
  return read_post({"text": text, "head": head, "tail": tail, **spans})


def named(post):
  """Returns the words of both spans, each as one string."""
  spans = (post.head, post.tail)
  return tuple(" ".join(post.words[slice(*span)]) for span in spans)


def test_names_are_found_and_punctuation_is_cut_off():
  found = read("Ann, of Acme.", "Ann", "Acme")
  words = ["Ann", ",", "of", "Acme", "."]
  assert found == Cut(words, (0, 1), (3, 4), ("Ann", "Acme"))


@pytest.mark.parametrize(
  ("text", "head", "tail", "words"),
  [
    ("Annapolis Ann Acme", "Ann", "Acme", "Annapolis Ann Acme"),
    ("Joann and Ann at Acme", "Ann", "Acme", "Joann and Ann at Acme"),
    ("Ann_Lee and Ann at Acme", "Ann", "Acme", "Ann_Lee and Ann at Acme"),
    ("(Ann)/#Acme", "Ann", "Acme", "( Ann )/# Acme"),
    ("via @Ann_L: C++ !", "@Ann_L", "C++", "via @Ann_L : C++ !"),
    ("Ann's at AT&T", "Ann", "AT&T", "Ann 's at AT&T"),
    (" \tBill\n Cosby in  Rome ", "Bill Cosby", "Rome", "Bill Cosby in Rome"),
    ("Bill  Cosby in Rome", " Bill\tCosby ", "Rome", "Bill Cosby in Rome"),
    ("Ann😂Acme 🎉", "Ann", "Acme", "Ann 😂 Acme 🎉"),
    ("😂 loves 🎉", "😂", "🎉", "😂 loves 🎉"),
    ("آن تنضم إلى أكمي.", "آن", "أكمي", "آن تنضم إلى أكمي ."),
    ("Zoë trifft Łódź!", "Zoë", "Łódź", "Zoë trifft Łódź !"),
  ],
)
def test_names_stand_between_word_boundaries(text, head, tail, words):
  found = read(text, head, tail)
  assert " ".join(found.words) == words
  assert named(found) == (" ".join(head.split()), tail)


@pytest.mark.parametrize(
  ("head", "tail", "spans"),
  [
    ("New York City", "York", ((0, 3), (1, 2))),
    ("York", "New York City", ((1, 2), (0, 3))),
    ("New York", "York City", ((0, 2), (1, 3))),
    ("New York", "New York", ((0, 2), (0, 2))),
    ("New York", "City", ((0, 2), (2, 3))),
  ],
)
def test_entities_may_nest_overlap_touch_and_coincide(head, tail, spans):
  found = read("New York City", head, tail)
  assert found == Cut(["New", "York", "City"], *spans, (head, tail))


def test_an_entity_within_a_word_cuts_it_for_both():
  found = read("Acme-Labs", "Acme-Labs", "Labs")
  assert found == Cut(["Acme-", "Labs"], (0, 2), (1, 2), ("Acme-Labs", "Labs"))


@pytest.mark.parametrize("name", ["Ann", " Ann "])
def test_a_name_that_occurs_twice_lists_its_places(name):
  text = "Ann and Bob, with Ann."
  with pytest.raises(ValueError, match="occurs 2 times") as error:
    read(text, name, "Bob")
  assert str(error.value) == (
    f"head: {name!r} occurs 2 times, at words 0:1 ('Ann and Bob,'), 4:5"
    " ('Bob, with Ann.'); choose one by head_span, or mark head and tail in the"
    " text: <s> ... </s>, <o> ... </o>"
  )
  chosen = read(text, name, "Bob", head_span=[0, 1])
  assert (chosen.head, chosen.tail) == ((0, 1), (2, 3))


def test_spans_count_words_between_spaces():
  words = ["FC", "Basel", "beats", "FC", "Bern", ",", "says", "FC"]
  for text in (" ".join(words), words, "  ".join(words)):
    found = read(text, "FC  Basel", None, head_span=[0, 2], tail_span=(3, 5))
    assert found == Cut(words, (0, 2), (3, 5), ("FC Basel", "FC Bern"))


@pytest.mark.parametrize(
  ("text", "span"),
  [("3:5", [3, 5]), (" 0 : 12 ", [0, 12])]
  + [(text, None) for text in ("3", "3-5", "a:b", "1:2:3", "-1:2", "³:5", "")],
)
def test_a_span_is_written_as_two_numbers(text, span):
  assert parse_span(text) == span


def test_a_span_needs_no_name_and_stays_when_the_other_entity_cuts():
  found = read_post(
    {"text": "Ann,Bob of Acme", "head": "Ann", "tail_span": [2, 3]}
  )
  assert found[:3] == (["Ann", ",Bob", "of", "Acme"], (0, 1), (3, 4))


def test_a_list_of_words_is_a_text():
  words = ["Ann", "at", "Acme", "!"]
  assert read(words, "Ann", "Acme")[:3] == (words, (0, 1), (2, 3))
  assert read(("x " * 500).split() + words, "Ann", "Acme").head == (500, 501)


@pytest.mark.parametrize(
  ("span", "name", "words"),
  [
    ([0, 1], None, "Ann, | of (Acme) and Ann/Bob"),
    ([0, 1], "Ann", "Ann | , of (Acme) and Ann/Bob"),
    ([2, 3], "Acme", "Ann, of ( | Acme | ) and Ann/Bob"),
    ([4, 5], "Ann", "Ann, of (Acme) and | Ann | /Bob"),
  ],
)
def test_a_name_beside_a_span_leaves_out_what_is_attached(span, name, words):
  text = "Ann, of (Acme) and Ann/Bob"
  fields = {"text": text, "head": name, "head_span": span, "tail": "of"}
  found = read_post(fields)
  begin, end = found.head
  parts = (found.words[:begin], found.words[begin:end], found.words[end:])
  assert " | ".join(" ".join(part) for part in parts if part) == words
  assert found.names[0] == " ".join(parts[1])


def test_a_name_that_its_span_does_not_hold_is_refused():
  fields = {"text": "FC Basel beats Bern", "head": "FC", "tail": "Bern"}
  with pytest.raises(
    ValueError, match=r"head: expected .* 0:2, 'FC Basel', or"
  ):
    read_post(fields | {"head_span": [0, 2]})
  with pytest.raises(ValueError, match="'FC' occurs 2 times, at words 0:1"):
    read_post(fields | {"text": "FC/FC beats Bern", "head_span": [0, 1]})


def test_of_many_places_the_first_are_listed():
  with pytest.raises(ValueError, match="occurs 10000 times") as error:
    read("Ann " * 10_000 + "Acme", "Ann", "Acme")
  assert "4:5 ('Ann Ann Ann Ann Ann') and 9995 more;" in str(error.value)
  assert len(str(error.value)) < 400


GOOD = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme"}


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"text": None}, "text: expected a text or a list of words, got None"),
    ({"text": "  "}, "text: expected a text"),
    ({"text": []}, "text: expected a text"),
    ({"text": ["Ann", ""]}, "text: expected a text"),
    ({"text": ["Ann Lee", "Acme"]}, "text: expected a text"),
    ({"text": ["Ann", 5]}, "text: expected a text"),
    ({"text": 5}, "text: expected a text"),
    ({"head": None}, "head: expected a name in the text, got None"),
    (
      {"head": 5, "head_span": [0, 1]},
      "head: expected a name in the text, got 5",
    ),
    ({"tail": " "}, "tail: expected a name in the text, got ' '"),
    ({"head": ["Ann"]}, "head: expected a name"),
    ({"head": "ann"}, "head: 'ann' does not occur in the text"),
    ({"tail": "Acm"}, "tail: 'Acm' occurs only as part of 'Acme'; give the w"),
    ({"tail": "A.me"}, "tail: 'A.me' does not occur in the text"),
    ({"head_span": [0, 4]}, "head_span: expected .* within the text's 3 words"),
    ({"head_span": [1, 1]}, "head_span: expected"),
    ({"head_span": [-1, 1]}, "head_span: expected"),
    ({"tail_span": [0]}, "tail_span: expected"),
    ({"tail_span": [0, True]}, "tail_span: expected"),
    ({"tail_span": [0.0, 1.0]}, "tail_span: expected"),
    ({"tail_span": "01"}, "tail_span: expected"),
    ({"tail_span": 1}, "tail_span: expected"),
    ({"tail_span": {"0": 1, "1": 2}}, "tail_span: expected"),
  ],
)
def test_what_is_wrong_with_a_post_is_said(changes, message):
  with pytest.raises(ValueError, match=message):
    read_post(GOOD | changes)


# Names may be part of one another, and `re` reads some of them otherwise.
POOL = ["Ann", "Anna", "(", "C++", "a.b", "@x_y", "😂", "שלום", "é", ".", "\\"]
SPACES = [" ", "  ", "\n", "\u00a0", "\u2003"]


def random_words_and_spans(rng):
  words = rng.choices(POOL, k=rng.randint(1, 9))
  spans = []
  for _ in range(2):
    begin = rng.randrange(len(words))
    spans.append((begin, rng.randint(begin + 1, len(words))))
  text = "".join(word + rng.choice(SPACES) for word in words)
  return words, spans, rng.choice((text, words))


def found_or_why(text, names):
  try:
    return read(text, *names)
  except ValueError as error:
    return str(error)


def test_the_words_of_any_span_are_those_of_its_entity():
  rng, num_found = random.Random(0), 0
  for _ in range(300):
    words, (head, tail), text = random_words_and_spans(rng)
    by_span = {"text": text, "head_span": head, "tail_span": tail}
    names = [" ".join(words[slice(*span)]) for span in (head, tail)]
    assert read_post(by_span) == Cut(words, head, tail, (*names,)), by_span
    by_both = by_span | dict(zip(("head", "tail"), names, strict=True))
    assert read_post(by_both) == read_post(by_span), by_both
    found = found_or_why(text, names)
    if isinstance(found, str):
      assert "times, at words" in found, (text, names)
      continue
    num_found += 1
    # An entity that occurs once may be cut by the other one.
    pairs = zip((found.head, found.tail), names, strict=True)
    for span, name in pairs:
      assert "".join(found.words[slice(*span)]) == name.replace(" ", "")
    assert "".join(found.words) == "".join(words)
  assert num_found > 100


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "head", "tail", "words"),
  [
    ("安娜在北京的微软工作", "安娜", "微软", "安娜 在北京的 微软 工作"),
    ("安娜在北京的微软工作", "微软", "北京", "安娜在 北京 的 微软 工作"),
    ("Ann在微软工作", "Ann", "微软", "Ann 在 微软 工作"),
    ("アンナはマイクロソフトで働く", "アンナ", "マイクロソフト", None),
    ("さくらと佐々木", "さくら", "佐々木", "さくら と 佐々木"),
    ("แอนนาทำงานที่ไมโครซอฟท์", "แอนนา", "ไมโครซอฟท์", None),
    ("ແອນນາຢູ່ລາວ", "ແອນນາ", "ລາວ", "ແອນນາ ຢູ່ ລາວ"),
    ("安娜、在《北京》", "安娜", "北京", "安娜 、在《 北京 》"),
  ],
)
def test_a_name_is_found_in_a_script_without_spaces(text, head, tail, words):
  found = read(text, head, tail)
  assert named(found) == (head, tail)
  assert "".join(found.words) == text
  assert words is None or found.words == words.split()


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "name", "longer"),
  [
    ("Acme انضمت إلى الشركة", "شركة", "الشركة"),
    ("안나는 Acme 에서 일한다", "안나", "안나는"),
    ("アンナは Acme", "アン", "アンナは"),
    ("Annapolis, not Acme", "Ann", "Annapolis,"),
    ("Acme: New Yorkers", "New York", "New Yorkers"),
    ("Acme ก็", "ก", "ก็"),
  ],
)
def test_a_part_of_a_longer_word_is_told_how_to_be_marked(text, name, longer):
  with pytest.raises(ValueError, match="occurs only as part of") as error:
    read(text, name, "Acme")
  assert str(error.value) == (
    f"head: {name!r} occurs only as part of {longer!r}; give the whole word, or"
    " mark head and tail in the text: <s> ... </s>, <o> ... </o>"
  )
  marked = text.replace(name, f"<s>{name}</s>", 1)
  marked = marked.replace("Acme", "<o>Acme</o>")
  assert named(read_post({"text": marked})) == (name, "Acme")


@pytest.mark.silent_input
def test_a_name_that_occurs_twice_without_spaces_is_refused():
  with pytest.raises(ValueError, match="head: '安' occurs 2 times"):
    read("安安在北京", "安", "北京")
  with pytest.raises(ValueError, match="head: '哈哈' occurs 2 times"):
    read("哈哈哈在北京", "哈哈", "北京")


def test_a_line_that_was_no_json_is_named():
  with pytest.raises(ValueError, match=r"line 7: expected a JSON object: 'x'"):
    read_post({"line": 7, "not_json": "x", "error": "line 7: ..."})


@pytest.mark.silent_input
def test_a_post_may_have_a_key_of_that_name():
  assert read_post(GOOD | {"not_json": "x"}) == read_post(GOOD)
