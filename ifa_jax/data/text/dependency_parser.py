"""The dependency tree of a sentence, as the governor of each word.

    spacy   a model of spaCy, which is an optional dependency
    chain   no parser: every word governs the next

Rows are not tokenised again: a tree has one node for each word.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ifa_jax.files.shown import one_line

KINDS = ("auto", "spacy", "chain")

_log = logging.getLogger("ifa_jax")
# Components of a model that a tree does not depend on.
_UNUSED = ("tagger", "attribute_ruler", "lemmatizer", "ner")


class Parser(NamedTuple):
  """A parser of sentences.

  Attributes:
    name: kind and version.
    parse: yields the governors of each text: word indices, -1 for a root. A
      text of several sentences has several roots.
  """

  name: str
  parse: Callable[[Sequence[Sequence[str]]], Iterator[list[int]]]


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
    kinds = ", ".join(KINDS)
    raise ValueError(f"parser: expected one of {kinds}, got {kind!r}")
  if kind != "chain":
    try:
      return _load_spacy(model)
    except ValueError as error:
      if kind == "spacy":
        raise
      _log.info("No parser (%s): every word governs the next", error)
  return Parser("chain", _chain)


def _chain(texts: Sequence[Sequence[str]]) -> Iterator[list[int]]:
  return (list(range(-1, len(words) - 1)) for words in texts)


def _load_spacy(model: str) -> Parser:
  try:
    import spacy
    from spacy.tokens import Doc
  except ImportError:
    raise ValueError("spacy is not installed") from None
  try:
    nlp = spacy.load(model, exclude=list(_UNUSED))
  except OSError as error:
    raise ValueError(
      f"spacy has no model {model!r}: {one_line(error)}"
    ) from None
  if "parser" not in nlp.pipe_names:
    raise ValueError(
      f"spacy's model {model!r}: expected a dependency parser in it, got"
      f" {', '.join(nlp.pipe_names) or 'nothing'}"
    )

  def parse(texts):
    # spaCy refuses empty words, which rows may have.
    filled = ([word or " " for word in words] for words in texts)
    for parsed in nlp.pipe(Doc(nlp.vocab, words=words) for words in filled):
      heads = [word.head.i for word in parsed]
      # spaCy's roots govern themselves.
      yield [-1 if head == i else head for i, head in enumerate(heads)]

  name = f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}"
  return Parser(f"spacy {spacy.__version__}, {name}", parse)  # pyright: ignore[reportPrivateImportUsage]
