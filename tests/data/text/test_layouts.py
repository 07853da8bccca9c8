"""OpenNRE's layout of a text, against its sentence cut into five parts."""

import numpy as np
import pytest

from ifa_jax.data.text import layouts
from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.row_text import RowText

CLS, SEP = 101, 102
MARKERS = [1, 2, 3, 4]


def pieces_of(word):
  """Word i has 1 + i % 3 pieces, 1000 + 10 i and following."""
  return [1000 + 10 * word + piece for piece in range(1 + word % 3)]


def prepared(num_words, left_out=()):
  """A prepared text; its own markers are ids 900 to 903, anywhere."""
  ids, words = [CLS, 900, 901], [-1, -1, -1]
  for word in range(num_words):
    if word not in left_out:
      ids += pieces_of(word)
      words += [word] * len(pieces_of(word))
  return Encoded([*ids, 902, 903, SEP], [*words, -1, -1, -1], 1, 2)


def literal(num_words, head, tail):
  """OpenNRE's `BERTEntityEncoder.tokenize`, on pieces that are known."""
  ent_hs, ent_ts = head[0], tail[0]
  rev = ent_hs > ent_ts
  pos_min, pos_max = (tail, head) if rev else (head, tail)
  text = [*range(num_words)]
  cut = lambda words: [p for w in words for p in pieces_of(w)]  # noqa: E731
  sent0 = cut(text[: pos_min[0]])
  ent0 = cut(text[pos_min[0] : pos_min[1]])
  sent1 = cut(text[pos_min[1] : pos_max[0]])
  ent1 = cut(text[pos_max[0] : pos_max[1]])
  sent2 = cut(text[pos_max[1] :])
  ent0 = [3, *ent0, 4] if rev else [1, *ent0, 2]
  ent1 = [1, *ent1, 2] if rev else [3, *ent1, 4]
  ids = [CLS, *sent0, *ent0, *sent1, *ent1, *sent2, SEP]
  pos1 = 1 + len(sent0) if not rev else 1 + len(sent0 + ent0 + sent1)
  pos2 = 1 + len(sent0 + ent0 + sent1) if not rev else 1 + len(sent0)
  return ids, pos1, pos2


SPANS = {
  "head first": ((1, 3), (4, 6)),
  "tail first": ((4, 6), (1, 3)),
  "adjacent": ((0, 2), (2, 3)),
  "at both ends": ((7, 8), (0, 1)),
  "overlapping": ((2, 5), (4, 6)),
  "nested": ((1, 6), (2, 4)),
  "nested, tail outside": ((3, 4), (1, 6)),
  "equal": ((2, 4), (2, 4)),
}


@pytest.mark.parametrize(("head", "tail"), SPANS.values(), ids=SPANS)
def test_tokens_are_those_of_opennre(head, tail):
  found = layouts.opennre(prepared(8), head, tail, MARKERS, 80)
  ids, head_start, tail_start = literal(8, head, tail)
  assert found.input_ids == ids
  assert (found.head_start, found.tail_start) == (head_start, tail_start)
  assert found.input_ids[found.head_start] == MARKERS[0]
  assert found.input_ids[found.tail_start] == MARKERS[2]
  for token, word in zip(found.input_ids, found.word_ids, strict=True):
    assert (word >= 0) == (token >= 1000)
    assert word < 0 or token in pieces_of(word)


def test_a_text_that_is_too_long_loses_its_end():
  whole = layouts.opennre(prepared(8), (1, 2), (6, 7), MARKERS, 80)
  cut = layouts.opennre(prepared(8), (1, 2), (6, 7), MARKERS, 10)
  assert cut.input_ids == whole.input_ids[:10]
  assert cut.word_ids == whole.word_ids[:10]
  assert cut.head_start == whole.head_start
  assert cut.tail_start == 9 < whole.tail_start


def test_words_that_preparation_left_out_stay_out():
  head, tail = (1, 2), (6, 7)
  found = layouts.opennre(prepared(8, {3, 4}), head, tail, MARKERS, 80)
  assert {*found.word_ids} == {-1, 0, 1, 2, 5, 6, 7}


def test_fields_are_padded_and_masked():
  spans = [((1, 2), (6, 7)), ((0, 1), (1, 2))]
  texts = []
  for num_words, (head, tail) in zip((8, 3), spans, strict=True):
    encoded = layouts.opennre(prepared(num_words), head, tail, MARKERS, 80)
    words = [""] * num_words
    texts.append(RowText("", "", words, head, tail, {}, encoded))
  fields = layouts.text_reader(texts, 30)(np.array([1, 0]), np.array([0, 0]))
  for row, text in enumerate(reversed(texts)):
    length = len(text.encoded.input_ids)
    assert fields["input_ids"][row, :length].tolist() == text.encoded.input_ids
    assert not fields["input_ids"][row, length:].any()
    assert fields["attention_mask"][row].tolist() == [
      place < length for place in range(30)
    ]
    assert fields["head_start"][row] == text.encoded.head_start
    assert fields["tail_start"][row] == text.encoded.tail_start
