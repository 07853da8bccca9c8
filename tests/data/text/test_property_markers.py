"""Markers around any words: never cut, and always around the entity."""

import functools

import fuzzing
import pytest
import raw_tree
from hypothesis import strategies as st

from ifa_jax.data.text import markers
from ifa_jax.data.text.markers import MARKERS
from ifa_jax.data.text.tokenizer import NUM_SPECIAL, Tokenizer
from ifa_jax.inference.post import read_post

pytestmark = pytest.mark.slow

# Emoji with joiners, right to left, only marks, controls, look-alikes of
# markers and of special tokens, nothing, and far too much.
ODD = [
  "👩‍👩‍👧",
  "🏳️‍🌈",
  "שלום",
  "مرحبا",
  "e\u0301\u0301",
  "\u200d",
  "\u202e",
  "\0",
]
ODD += [
  "",
  " ",
  "\t\n",
  "<s>",
  "</o>",
  "[SEP]",
  "[PAD]",
  "##ing",
  "\ufffd",
  "東京",
]
ODD += ["a" * 5000, "#\u0301", "\u2028", "ﷺ"]


def words():
  one = st.one_of(
    st.sampled_from(["Bill", "in", "Hollywood", "2"]),
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
  )
  return st.lists(one, min_size=1, max_size=30)


@st.composite
def spans(draw, num_words):
  begin = draw(st.integers(0, num_words - 1))
  return begin, draw(st.integers(begin + 1, num_words))


@st.composite
def texts(draw):
  """Words with two spans, apart, equal, nested or overlapping."""
  found = draw(words())
  return found, draw(spans(len(found))), draw(spans(len(found)))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return Tokenizer.load(raw_tree.write_tokenizer(tmp_path_factory.mktemp("t")))


def nest(head, tail):
  (a, b), (c, d) = head, tail
  apart = b <= c or d <= a
  return apart or (a <= c and d <= b) or (c <= a and b <= d)


def test_markers_enclose_their_words(thorough):
  def body(text):
    found, *entities = text
    tokens = markers.insert_markers(found, *entities)
    assert [t.text for t in tokens if t.word is not None] == found
    place = {t.text: i for i, t in enumerate(tokens) if t.word is None}
    assert sorted(place) == sorted(MARKERS)
    for (begin, end), role in zip(entities, ("s", "o"), strict=True):
      inside = tokens[place[f"<{role}>"] : place[f"</{role}>"]]
      covered = [t.word for t in inside if t.word is not None]
      assert covered == list(range(begin, end))
    if nest(*entities):
      stack = []
      for name in sorted(place, key=place.get):
        if name.startswith("</"):
          assert stack.pop() == name.replace("/", "")
        else:
          stack.append(name)

  fuzzing.check(body, texts(), thorough=thorough, few=200)


def test_no_text_and_no_length_cuts_a_marker(tokenizer, thorough):
  ids = {tokenizer.vocab_size - 4 + i: name for i, name in enumerate(MARKERS)}
  special = set(tokenizer.ids_of(["[CLS]", "[SEP]", "[PAD]"]))
  refused = []

  def body(text, text_len):
    found, *entities = text
    encoded = encode_or_none(tokenizer, found, entities, text_len)
    if encoded is None:
      refused.append(text_len)
      return
    assert len(encoded.input_ids) == len(encoded.word_ids) <= text_len
    place = {}
    for i, token in enumerate(encoded.input_ids):
      if token in ids:
        assert ids[token] not in place
        place[ids[token]] = i
    assert sorted(place) == sorted(MARKERS)
    assert place["<s>"] == encoded.head_start
    assert place["<o>"] == encoded.tail_start
    assert not special & set(encoded.input_ids[1:-1])
    for span, role in zip(entities, ("s", "o"), strict=True):
      check_entity(tokenizer, found, span, encoded, place, role)

  lengths = st.integers(NUM_SPECIAL, 90)
  fuzzing.check(body, texts(), lengths, thorough=thorough, few=200)
  assert refused


def encode_or_none(tokenizer, found, entities, text_len):
  """Returns None if the two entities are too long."""
  encode = functools.partial(tokenizer.encode, found, *entities)
  pieces = {
    place
    for place, word in enumerate(encode(10**6).word_ids)
    if any(begin <= word < end for begin, end in entities)
  }
  if len(pieces) + NUM_SPECIAL <= text_len:
    return encode(text_len)
  with pytest.raises(ValueError, match=f"take {len(pieces)} word pieces, only"):
    encode(text_len)
  return None


def check_entity(tokenizer, found, span, encoded, place, role):
  """The pieces between two markers are those of the entity's words."""
  begin, end = place[f"<{role}>"] + 1, place[f"</{role}>"]
  inside = [
    (word, token)
    for word, token in zip(
      encoded.word_ids[begin:end], encoded.input_ids[begin:end], strict=True
    )
    if word >= 0
  ]
  alone = tokenizer.encode(found[slice(*span)], *_all(span), 10**6)
  wanted = [
    (word + span[0], token)
    for word, token in zip(alone.word_ids, alone.input_ids, strict=True)
    if word >= 0
  ]
  # A word without pieces becomes [UNK] in one of two entities that share it.
  assert inside
  assert inside == wanted or len(wanted) < len(inside) + 2


def _all(span):
  whole = (0, span[1] - span[0])
  return whole, whole


def test_entities_of_letters_come_back(tokenizer, thorough):
  """Every piece of every letter, in any context."""
  letters = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9)

  def body(found, data):
    head, tail = (data.draw(spans(len(found))) for _ in "ht")
    encoded = tokenizer.encode(found, head, tail, 500)
    backend = tokenizer._pretrained
    for word, text in enumerate(found):
      pieces = [
        token
        for token, owner in zip(
          encoded.input_ids, encoded.word_ids, strict=True
        )
        if owner == word
      ]
      split = backend.convert_ids_to_tokens(pieces)
      assert "".join(split).replace("##", "") == text

  fuzzing.check(
    body, st.lists(letters, min_size=1, max_size=8), st.data(),
    thorough=thorough,
  )  # fmt: skip


def test_marked_posts_come_back(thorough):
  """Marks put into a text are taken out again, with the entities' words."""
  words_of_posts = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1)
    .filter(lambda word: word.split() == [word] and "<" not in word),
    min_size=1,
    max_size=12,
  )  # fmt: skip

  def body(found, data):
    entities = [data.draw(spans(len(found))) for _ in "ht"]
    tokens = markers.insert_markers(found, *entities)
    marked = " ".join(token.text for token in tokens)
    assert markers.is_marked(marked)
    post = read_post({"text": marked})
    assert post.words == found
    assert [post.head, post.tail] == entities

  fuzzing.check(body, words_of_posts, st.data(), thorough=thorough)


def test_ten_thousand_words_keep_both_entities(tokenizer):
  found = [f"word{i}" for i in range(10_000)]
  encoded = tokenizer.encode(found, (9_998, 10_000), (4_000, 4_003), 80)
  assert len(encoded.input_ids) <= 80
  assert {9_998, 9_999, 4_000, 4_001, 4_002} <= {*encoded.word_ids}
  post = read_post({"text": found, "head": "word9999", "tail": "word4000"})
  assert (post.head, post.tail) == ((9_999, 10_000), (4_000, 4_001))
