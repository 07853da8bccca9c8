"""Governors of words: the chain, and spaCy's through a fake of it."""

import logging
import sys
import types

import pytest

from ifa_jax.data.text import dependency_parser

TEXTS = [["Ann", "joins", "Acme", "."], ["Hi"], [], ["", "Hi"]]


class Doc(list):
  """spaCy's container of words; the fake parser sets `governors`."""

  def __init__(self, vocab, words):
    assert vocab == "vocabulary"
    assert all(words), "spaCy raises on an empty word"
    super().__init__(words)

  def __iter__(self):
    for head in self.governors:
      yield types.SimpleNamespace(head=types.SimpleNamespace(i=head))


class Model:
  """A model of spaCy whose second word governs all others, and itself."""

  vocab = "vocabulary"
  pipe_names = ("tok2vec", "parser")
  meta = {"lang": "en", "name": "core_fake", "version": "1.2"}  # noqa: RUF012

  def pipe(self, documents):
    for document in documents:
      document.governors = [min(1, len(document) - 1)] * len(document)
      yield document


@pytest.fixture
def spacy(monkeypatch):
  """Installs a fake spaCy that knows one model, and returns it."""
  fake = types.ModuleType("spacy")
  fake.__version__ = "3.0"
  fake.model = Model()

  def load(name, exclude):
    assert "parser" not in exclude
    if name != "en_core_web_sm":
      raise OSError(f"[E050] Can't find\nmodel '{name}'")
    return fake.model

  fake.load = load
  tokens = types.ModuleType("spacy.tokens")
  tokens.Doc = Doc
  monkeypatch.setitem(sys.modules, "spacy", fake)
  monkeypatch.setitem(sys.modules, "spacy.tokens", tokens)
  return fake


@pytest.fixture
def no_spacy(monkeypatch):
  monkeypatch.setitem(sys.modules, "spacy", None)


def test_the_chain_has_a_governor_for_every_word_but_the_first():
  chain = dependency_parser.load("chain")
  assert chain.name == "chain"
  assert list(chain.parse(TEXTS)) == [[-1, 0, 1, 2], [-1], [], [-1, 0]]


@pytest.mark.usefixtures("spacy")
@pytest.mark.parametrize("kind", ["auto", "spacy"])
def test_spacy_parses_the_words_as_they_are(kind):
  found = dependency_parser.load(kind)
  assert found.name == "spacy 3.0, en_core_fake 1.2"
  assert list(found.parse(TEXTS)) == [[1, -1, 1, 1], [-1], [], [1, -1]]


@pytest.mark.usefixtures("no_spacy")
def test_without_spacy_auto_logs_that_it_is_the_chain(caplog):
  with caplog.at_level(logging.INFO, "ifa_jax"):
    assert dependency_parser.load("auto").name == "chain"
  assert "spacy is not installed" in caplog.text
  with pytest.raises(ValueError, match="spacy is not installed"):
    dependency_parser.load("spacy")


def test_a_missing_model_or_parser_is_named_in_one_line(spacy, caplog):
  with pytest.raises(ValueError, match=r"no model 'de'.*Can't find model 'de'"):
    dependency_parser.load("spacy", "de")
  with caplog.at_level(logging.INFO, "ifa_jax"):
    assert dependency_parser.load("auto", "de").name == "chain"
  assert "'de'" in caplog.text
  spacy.model.pipe_names = ("tok2vec", "ner")
  with pytest.raises(ValueError, match="got tok2vec, ner"):
    dependency_parser.load("spacy")


def test_another_kind_is_refused():
  with pytest.raises(ValueError, match="expected one of auto, spacy, chain"):
    dependency_parser.load("stanza")
