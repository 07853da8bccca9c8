"""Whole words to ids: the vocabulary, pretrained vectors, a split's fields."""

import numpy as np
import pytest

from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Encoded
from ifa_jax.data.text.vocabulary import (
  Vocabulary,
  WordReader,
  read_vectors,
  start_table,
)
from ifa_jax.models.baselines import pcnn


def text(words, head=(0, 1), tail=(1, 2)):
  encoded = Encoded([], [], 0, 0)
  return RowText("train/1", "a.jpg", words.split(), head, tail, {}, encoded)


TEXTS = [text("Bill met ANN ."), text("ann MET them \u0130stanbul !")]


def test_words_are_numbered_as_they_occur_whatever_their_case():
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
  reader = WordReader(texts, vocabulary, max_words=128)
  fields = reader(np.array([1, 0, 0]), np.array([0, 0, 0]))
  # Ten words, in multiples of eight.
  assert fields["words"].shape == (3, 16)
  assert fields["words"][1].tolist() == [2, 3, 4, 5] + 12 * [pcnn.PAD]
  assert fields["words"][0].tolist() == 10 * [pcnn.UNKNOWN] + 6 * [pcnn.PAD]
  assert fields["word_mask"].sum(axis=1).tolist() == [10, 4, 4]
  assert fields["head_word"].tolist() == [0, 2, 2]
  assert fields["tail_word"].tolist() == [1, 0, 0]


def test_words_behind_the_last_that_fits_are_cut_off():
  reader = WordReader([text("a b c d e f g h i j")], Vocabulary([]), 6)
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
    ("a 1 2\nb 1\n", r"glove\.txt:2: want a word and 2 numbers, found 'b 1'"),
    ("a 1 x\n", r"glove\.txt:1: want a word and numbers, found 'a 1 x'"),
    ("a\n", r"glove\.txt:1: want a word and numbers, found 'a'"),
    ("", "want word vectors, found an empty file"),
  ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, message):
  with pytest.raises(ValueError, match=message):
    read_vectors(write_vectors(tmp_path, content))


def test_vectors_of_another_width_are_refused(tmp_path):
  vectors = read_vectors(write_vectors(tmp_path, "a 1 2\n"))
  fresh = np.zeros((3, 50), np.float32)
  with pytest.raises(ValueError, match=r"of model\.word_dim 50 num"):
    start_table(fresh, Vocabulary(["a"]), vectors)
