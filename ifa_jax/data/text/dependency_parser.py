"""The dependency tree of a sentence, as each word's governor.

    spacy   a model of spaCy, which is not among the requirements
    chain   no parser: every word governs the next

Words are those of the rows: nothing is tokenised again, so that a tree has a
node for each of a row's words.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

KINDS = ("auto", "spacy", "chain")

_log = logging.getLogger("ifa_jax")
# What a tree does not depend on.
_UNUSED = ("tagger", "attribute_ruler", "lemmatizer", "ner")


class Parser(Protocol):
  """Parses sentences.

  Attributes:
    name: what it is, with its version.
  """

  name: str

  def parse(self, texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Yields each text's governors: indices of words from 0, -1 for a root."""
    ...


def load(kind: str, model: str = "en_core_web_sm") -> Parser:
  """Returns a parser.

  Args:
    kind: "spacy"; "chain"; or "auto", which is spaCy where it and the model
      are installed, and the chain otherwise.
    model: name or folder of spaCy's model.

  Raises:
    ValueError: for another kind, or if "spacy" cannot be had.
  """
  if kind not in KINDS:
    raise ValueError(f"parser: want one of {', '.join(KINDS)}, found {kind!r}")
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
  """A model of spaCy, run on the words as they are.

  A text of several sentences gets several roots.
  """

  def __init__(self, model: str):
    """Loads a model.

    Raises:
      ValueError: if spaCy or the model is not there, or the model parses no
        dependencies.
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
        f"spacy's model {model!r}: want a dependency parser in it, found"
        f" {', '.join(self._nlp.pipe_names) or 'nothing'}"
      )
    meta = self._nlp.meta
    self.name = (
      f"spacy {spacy.__version__},"
      f" {meta['lang']}_{meta['name']} {meta['version']}"
    )

  def parse(self, texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """See `Parser.parse`."""
    for parsed in self._nlp.pipe(map(self._document, texts)):
      # spaCy's roots govern themselves.
      heads = [word.head.i for word in parsed]
      yield [-1 if head == i else head for i, head in enumerate(heads)]

  def _document(self, words: Sequence[str]) -> Any:
    from spacy.tokens import Doc  # pyright: ignore[reportMissingImports]

    # spaCy refuses words without a letter, which rows may have.
    return Doc(self._nlp.vocab, words=[word or " " for word in words])
