"""A tokenizer that is read without `transformers` gives the same ids."""

import json
import os
import random
import sys

import pytest
import raw_tree

from ifa_jax.data.text.tokenizer import Tokenizer

BERT_UNCASED_DIR = os.environ.get("BERT_UNCASED_DIR")
# Case and accents, marks, other scripts, special tokens, odd blanks.
ALPHABET = [*"aAbBzZ019._-'#@/:<>[]&\u00e9\u00c9\u0141\u00df\u0130\u03a3"]
ALPHABET += [*"\u6771\u4eac\u304b\u0435\u0301\u0628\u200d\u200b\xad\xa0\ufeff"]
ALPHABET += ["\U0001f3b8", "\U0001f1e9", "[SEP]", "[MASK]", "<s>", "</o>", "##"]
ALPHABET += ["hollywood", "Bill", "in"]


def random_words(count, seed=0):
  """Returns words of any characters, some of them too long for WordPiece."""
  draw = random.Random(seed)
  sizes = draw.choices((1, 2, 3, 5, 8, 120), k=count)
  return ["".join(draw.choices(ALPHABET, k=size)) for size in sizes]


def write_published(folder, **settings):
  """Writes a tokenizer as its authors would publish it."""
  raw_tree.write_tokenizer(folder)
  path = folder / "tokenizer_config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | settings))
  return folder


def assert_equal_tokenizers(found, wanted):
  for name in ("name", "vocab_size", "sha256"):
    assert getattr(found, name) == getattr(wanted, name), name
  assert found.ids_of(["[SEP]", "in"]) == wanted.ids_of(["[SEP]", "in"])
  for seed in range(60):
    words = random_words(9, seed)
    ids = [x.encode(words, (1, 2), (4, 6), 1200) for x in (found, wanted)]
    assert ids[0] == ids[1], words


def assert_same_without_transformers(folder, monkeypatch):
  wanted = Tokenizer.load(folder)
  with monkeypatch.context() as patch:
    patch.setitem(sys.modules, "transformers", None)
    assert_equal_tokenizers(Tokenizer.load(folder, wanted.sha256), wanted)


@pytest.mark.parametrize("save", ["save", "save_with_markers"])
@pytest.mark.parametrize(
  "settings",
  [
    {},
    {"do_lower_case": False},
    {"strip_accents": False},
    {"tokenize_chinese_chars": False},
  ],
)
def test_ids_are_those_of_transformers(tmp_path, monkeypatch, settings, save):
  published = write_published(tmp_path / "published", **settings)
  getattr(Tokenizer.load(published), save)(tmp_path / "kept")
  assert_same_without_transformers(tmp_path / "kept", monkeypatch)


@pytest.mark.skipif(not BERT_UNCASED_DIR, reason="set BERT_UNCASED_DIR")
def test_ids_of_bert_are_those_of_transformers(tmp_path, monkeypatch):
  Tokenizer.load(BERT_UNCASED_DIR).save(tmp_path / "kept")
  assert_same_without_transformers(tmp_path / "kept", monkeypatch)


def test_a_tokenizer_read_without_transformers_can_be_saved(tmp_path):
  wanted = Tokenizer.load(write_published(tmp_path / "bert"))
  wanted.save(tmp_path / "kept")
  kept = Tokenizer.load(tmp_path / "kept", wanted.sha256)
  kept.save(tmp_path / "again" / "bert")
  assert_equal_tokenizers(Tokenizer.load(tmp_path / "again" / "bert"), wanted)


def test_a_folder_that_transformers_reads_differently_is_left_to_it(tmp_path):
  # Its tokenizer.json lower-cases, but the class named in the config does not.
  folder = write_published(tmp_path / "bert", do_lower_case=False)
  wanted = Tokenizer.load(folder)
  assert_equal_tokenizers(Tokenizer.load(folder, wanted.sha256), wanted)
  assert wanted.sha256 != Tokenizer.load(write_published(tmp_path)).sha256


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_folder_gets_the_usual_error(tmp_path, kept):
  folder = write_published(tmp_path / "bert")
  sha256 = Tokenizer.load(folder).sha256
  for path in folder.iterdir():
    text = path.read_text()
    path.write_text(text[: int(kept * len(text))])
  with pytest.raises(ValueError, match=r"tokenizer '.*bert'"):
    Tokenizer.load(folder, sha256)
