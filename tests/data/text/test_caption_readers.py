"""Captions as fields of a batch, against the tokenizer of transformers."""

import numpy as np
import pytest
import transformers

from ifa_jax.data.text import captions
from ifa_jax.data.text.encoded import Caption
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Tokenizer

POSTS = (
  ("Mira joins Radio Tolan", "a photo of a star , and Mira"),
  ("Tolan burg", ""),
  ("so happy this morning with Mira", "people"),
)


@pytest.fixture(scope="module", name="tokenizer")
def tokenizer_of_the_tree(raw_dir):
  return Tokenizer.load(raw_dir / "tokenizer")


@pytest.fixture(scope="module", name="texts")
def texts_with_captions(tokenizer):
  found = []
  for text, caption in POSTS:
    words = text.split()
    encoded = tokenizer.encode(words, (0, 1), (1, 2), 40)
    seen = tokenizer.encode_caption(caption, 16)
    spans = ((0, 1), (1, 2))
    found.append(RowText("", "", words, *spans, {}, encoded, seen))
  return found


def test_tokens_are_those_of_transformers(tokenizer, raw_dir):
  theirs = transformers.AutoTokenizer.from_pretrained(raw_dir / "tokenizer")
  for _, text in POSTS[::2]:
    expected = theirs(text, return_offsets_mapping=False)["input_ids"]
    assert [*tokenizer.encode_caption(text, 99).input_ids] == expected
  long = " ".join(["people"] * 30)
  cut = tokenizer.encode_caption(long, 16)
  assert [*cut.input_ids] == theirs(
    long, truncation=True, max_length=16
  ).input_ids
  assert [*cut.word_ids] == [-1, *range(14), -1]


@pytest.mark.parametrize("text", ["", " \n", "\u200d"])
def test_a_text_without_pieces_is_no_caption(tokenizer, text):
  assert tokenizer.encode_caption(text, 16) == Caption()


def test_a_second_segment_follows_the_text(tokenizer, texts):
  read = captions.segment_reader(texts, text_len=40, caption_len=16)
  rows = np.array([2, 0, 1])
  fields = read(rows, np.array([0, 1, 2]))
  for i, (row, picture) in enumerate(zip(rows, [0, 1, 2], strict=True)):
    text = texts[row].encoded.input_ids
    second = [*texts[picture].caption.input_ids][1:]
    real = fields["attention_mask"][i]
    assert fields["input_ids"][i][real].tolist() == [*text, *second]
    types = [0] * len(text) + [1] * len(second)
    assert fields["token_type_ids"][i][real].tolist() == types
    assert not fields["input_ids"][i][~real].any()
    assert not fields["token_type_ids"][i][~real].any()
    assert fields["head_start"][i] == texts[row].encoded.head_start
    assert fields["tail_start"][i] == texts[row].encoded.tail_start
  assert fields["input_ids"].shape == (3, 40 + 16 - 1)


def test_a_stream_gets_the_captions_of_the_pictures(texts):
  read = captions.stream_reader(texts, caption_len=16)
  fields = read(np.array([1, 1]), np.array([0, 1]))
  expected = [*texts[0].caption.input_ids]
  count = len(expected)
  assert fields["caption_ids"][0, :count].tolist() == expected
  assert fields["caption_mask"].sum(axis=1).tolist() == [count, 0]


def test_a_shorter_caption_is_that_of_the_tokenizer(tokenizer):
  text = POSTS[0][1]
  whole = tokenizer.encode_caption(text, 16)
  assert whole.cut(16) == whole
  assert whole.cut(6) == tokenizer.encode_caption(text, 6)
  assert len(whole.cut(6).input_ids) == 6
