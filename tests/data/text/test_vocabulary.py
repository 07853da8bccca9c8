"""Whole words to ids: the vocabulary, pretrained vectors, a split's fields."""

import numpy as np
import pytest

from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.vocabulary import (
  Vocabulary,
  read_vectors,
  start_table,
  word_reader,
)
from ifa_jax.models.baselines import pcnn


def text(words, head=(0, 1), tail=(1, 2)):
  encoded = Encoded([], [], 0, 0)
  return RowText("train/1", "a.jpg", words.split(), head, tail, {}, encoded)


TEXTS = [text("Bill met ANN ."), text("ann MET them \u0130stanbul !")]


def test_words_are_numbered_in_order_without_case():
  vocabulary = Vocabulary.of_texts(TEXTS)
  assert len(vocabulary) == 2 + 7
  assert vocabulary.encode(["bill", "Met", "Ann", "."]) == [2, 3, 4, 5]
  assert vocabulary.encode(["nobody"]) == [pcnn.UNKNOWN]
  assert vocabulary.encode(["[PAD]"]) == [pcnn.UNKNOWN]


def test_a_file_of_lines_reads_back(tmp_path):
  vocabulary = Vocabulary.of_texts(TEXTS)
  path = tmp_path / "words.txt"
  path.write_text(vocabulary.lines(), encoding="utf-8")
  again = Vocabulary.load(path)
  assert again.lines() == vocabulary.lines()
  for row in TEXTS:
    assert again.encode(row.words) == vocabulary.encode(row.words)


def test_rows_get_their_words_their_mask_and_both_first_words():
  vocabulary = Vocabulary.of_texts(TEXTS)
  texts = [text("Bill met Ann .", (2, 3), (0, 1)), text("a b c d e f g h i j")]
  reader = word_reader(texts, vocabulary, max_words=128)
  fields = reader(np.array([1, 0, 0]), np.array([0, 0, 0]))
  # Ten words, in multiples of eight.
  assert fields["words"].shape == (3, 16)
  assert fields["words"][1].tolist() == [2, 3, 4, 5] + 12 * [pcnn.PAD]
  assert fields["words"][0].tolist() == 10 * [pcnn.UNKNOWN] + 6 * [pcnn.PAD]
  assert fields["word_mask"].sum(axis=1).tolist() == [10, 4, 4]
  assert fields["head_word"].tolist() == [0, 2, 2]
  assert fields["tail_word"].tolist() == [1, 0, 0]


def test_words_after_the_last_that_fits_are_cut_off():
  reader = word_reader([text("a b c d e f g h i j")], Vocabulary([]), 6)
  fields = reader(np.array([0]), np.array([0]))
  assert fields["words"].shape == fields["word_mask"].shape == (1, 6)
  assert fields["word_mask"].all()


def write_vectors(folder, content):
  path = folder / "glove.txt"
  path.write_text(content, encoding="utf-8")
  return path


def test_pretrained_rows_replace_fresh_ones(tmp_path):
  vectors = read_vectors(write_vectors(tmp_path, "the 1 2\nann -0.5 3e-1\n"))
  assert vectors.words == ["the", "ann"]
  vocabulary = Vocabulary(vectors.words)
  fresh = np.full((len(vocabulary), 2), 9, np.float32)
  table = start_table(fresh, vocabulary, vectors)
  wanted = [[9, 9], [9, 9], [1, 2], [-0.5, 0.3]]
  np.testing.assert_array_equal(table, np.float32(wanted))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("a 1 2\nb 1 2 3\n", r":2: expected a word and 2 numbers, got 'b 1 2 3'"),
    ("a 1 2\nb 1\n", r"glove\.txt:2: expected a word and 2 numbers, got 'b 1'"),
    ("a 1 x\n", r"glove\.txt:1: expected a word and numbers, got 'a 1 x'"),
    ("a\n", r"glove\.txt:1: expected a word and numbers, got 'a'"),
    ("", "expected word vectors, got an empty file"),
  ],
)
def test_a_malformed_file_is_refused(tmp_path, content, message):
  with pytest.raises(ValueError, match=message):
    read_vectors(write_vectors(tmp_path, content))


def start(tmp_path, content, vocabulary=None):
  """Returns word -> its row of the start table; fresh ones are -1."""
  vectors = read_vectors(write_vectors(tmp_path, content))
  vocabulary = vocabulary or Vocabulary.of_vectors(vectors)
  fresh = np.full((len(vocabulary), 2), -1, np.float32)
  table = start_table(fresh, vocabulary, vectors).tolist()
  return dict(zip(vocabulary, table, strict=True))


FRESH = {"[PAD]": [-1, -1], "[UNK]": [-1, -1]}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("content", "rows"),
  [
    ("apple 1 0\nApple 0 1\n", FRESH | {"apple": [1, 0]}),
    ("Apple 0 1\napple 1 0\n", FRESH | {"apple": [1, 0]}),
    ("pear 1 0\nApple 0 1\n", FRESH | {"pear": [1, 0], "apple": [0, 1]}),
    ("Apple 0 1\nAPPLE 5 5\n", FRESH | {"apple": [0, 1]}),
    ("apple 1 0\napple 5 5\n", FRESH | {"apple": [1, 0]}),
    ("[UNK] 3 3\n[PAD] 0 0\n", {"[PAD]": [0, 0], "[UNK]": [3, 3]}),
    ("[unk] 3 3\n", FRESH | {"[unk]": [3, 3]}),
    ("a 1 1\n[PAD] 0 0\n", FRESH | {"[PAD]": [0, 0], "a": [1, 1]}),
  ],
)
def test_a_word_has_the_vector_of_its_own_spelling_first(
  tmp_path, content, rows
):
  assert start(tmp_path, content) == rows


@pytest.mark.silent_input
def test_cased_words_of_a_vocabulary_keep_their_own_vectors(tmp_path):
  vocabulary = Vocabulary(["apple", "Apple", "pear"])
  content = "apple 1 0\nApple 0 1\nPEAR 2 2\n"
  rows = {"apple": [1, 0], "Apple": [0, 1], "pear": [2, 2]}
  assert start(tmp_path, content, vocabulary) == FRESH | rows


@pytest.mark.silent_input
def test_a_cased_file_is_warned_of_and_its_words_are_found(tmp_path, caplog):
  read = lambda c: read_vectors(write_vectors(tmp_path, c))  # noqa: E731
  Vocabulary.of_vectors(read("[UNK] 1 0\npear 1 0\n"))
  assert not caplog.messages
  vocabulary = Vocabulary.of_vectors(read("pear 1 0\nApple 0 1\n"))
  assert "1 of 2 words have capitals" in caplog.text
  assert vocabulary.encode(["Apple", "APPLE", "plum"]) == [3, 3, 1]


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "content",
  [
    "apple 1 0 \n. . 0 1 \n",
    "2 2\napple 1 0\n. . 0 1\n",
    "2 2 \r\napple 1 0 \r\n. . 0 1 \r\n",
    "\ufeffapple 1 0\n. . 0 1\n",
    "\ufeff2 2\napple 1 0\n. . 0 1\n",
    "apple\t1\t0\n. .\t0\t1\n",
    "apple  1 0\n. . 0 1",
  ],
)
def test_every_common_form_of_a_vectors_file_is_read(tmp_path, content, caplog):
  vectors = read_vectors(write_vectors(tmp_path, content))
  assert vectors.words == ["apple", ". ."]
  assert vectors.table.tolist() == [[1, 0], [0, 1]]
  assert not caplog.messages


@pytest.mark.silent_input
def test_numbers_may_be_words_and_no_break_spaces_part_of_them(tmp_path):
  content = "2 1 0\n1\u00a02 0 1\n"
  assert read_vectors(write_vectors(tmp_path, content)).words == [
    "2",
    "1\u00a02",
  ]
  vectors = read_vectors(write_vectors(tmp_path, "5 1\n7 2\n"))
  assert vectors.words == ["5", "7"]


@pytest.mark.silent_input
def test_a_truncated_file_is_warned_of(tmp_path, caplog):
  read_vectors(write_vectors(tmp_path, "3 2\na 1 0\nb 0 1\n"))
  assert "expected 3 words by its first line, got 2" in caplog.text


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "content",
  ["[PAD]\n[UNK]\nann\nbob\nann\n", "ann\nbob\n", "[UNK]\n[PAD]\nann\n"],
)
def test_a_file_of_words_whose_lines_are_not_ids_is_refused(tmp_path, content):
  path = tmp_path / "words.txt"
  path.write_text(content)
  with pytest.raises(ValueError, match=r"words\.txt: expected .* each wor"):
    Vocabulary.load(path)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "content",
  ["[PAD]\n[UNK]\nann\nbob", "\ufeff[PAD]\r\n[UNK]\r\nann\r\nbob\r\n"],
)
def test_a_file_of_words_that_was_edited_keeps_its_words(tmp_path, content):
  path = tmp_path / "words.txt"
  path.write_text(content, encoding="utf-8")
  assert Vocabulary.load(path).encode(["Ann", "bob", "eve"]) == [2, 3, 1]


def test_vectors_of_another_width_are_refused(tmp_path):
  vectors = read_vectors(write_vectors(tmp_path, "a 1 2\n"))
  fresh = np.zeros((3, 50), np.float32)
  with pytest.raises(ValueError, match=r"of model\.word_dim 50 num"):
    start_table(fresh, Vocabulary(["a"]), vectors)
