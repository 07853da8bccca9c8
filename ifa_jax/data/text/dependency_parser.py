"""The dependency tree of a sentence, as the governor of each word.

    spacy   a model of spaCy, which is an optional dependency
    chain   no parser: every word governs the next

Rows are not tokenised again: a tree has one node for each word.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

KINDS = ("auto", "spacy", "chain")

_log = logging.getLogger("ifa_jax")
# Components of a model that a tree does not depend on.
_UNUSED = ("tagger", "attribute_ruler", "lemmatizer", "ner")


class Parser(Protocol):
  """Parses sentences.

  Attributes:
    name: kind and version.
  """

  name: str

  def parse(self, texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Yields the governors of each text: word indices, -1 for a root."""
    ...


def load(kind: str, model: str = "en_core_web_sm") -> Parser:
  """Returns a parser.

  Args:
    kind: "spacy", "chain", or "auto": spaCy if it and the model are installed,
      otherwise the chain.
    model: name or folder of spaCy's model.

  Raises:
    ValueError: for another kind, or if "spacy" is not available.
  """
  if kind not in KINDS:
    raise ValueError(
      f"parser: expected one of {', '.join(KINDS)}, got {kind!r}"
    )
  if kind == "chain":
    return Chain()
  try:
    return Spacy(model)
  except ValueError as error:
    if kind == "spacy":
      raise
    _log.info("No parser (%s): every word governs the next", error)
    return Chain()


class Chain:
  """No parser: word i governs word i + 1."""

  name = "chain"

  def parse(self, texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """See `Parser.parse`."""
    for words in texts:
      yield list(range(-1, len(words) - 1))


class Spacy:
  """A model of spaCy; a text of several sentences has several roots."""

  def __init__(self, model: str):
    """Loads a model.

    Raises:
      ValueError: if spaCy or the model is missing, or the model has no parser.
    """
    try:
      import spacy  # pyright: ignore[reportMissingImports]
    except ImportError:
      raise ValueError("spacy is not installed") from None
    try:
      self._nlp = spacy.load(model, exclude=list(_UNUSED))
    except OSError as error:
      reason = " ".join(str(error).split())
      raise ValueError(f"spacy has no model {model!r}: {reason}") from None
    if "parser" not in self._nlp.pipe_names:
      raise ValueError(
        f"spacy's model {model!r}: expected a dependency parser in it, got"
        f" {', '.join(self._nlp.pipe_names) or 'nothing'}"
      )
    meta = self._nlp.meta
    self.name = (
      f"spacy {spacy.__version__},"
      f" {meta['lang']}_{meta['name']} {meta['version']}"
    )

  def parse(self, texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """See `Parser.parse`."""
    from spacy.tokens import Doc  # pyright: ignore[reportMissingImports]

    # spaCy refuses empty words, which rows may have.
    filled = ([word or " " for word in words] for words in texts)
    documents = (Doc(self._nlp.vocab, words=words) for words in filled)
    for parsed in self._nlp.pipe(documents):
      # spaCy's roots govern themselves.
      heads = [word.head.i for word in parsed]
      yield [-1 if head == i else head for i, head in enumerate(heads)]
