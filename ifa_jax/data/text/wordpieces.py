"""A WordPiece vocabulary with its splitter, without `transformers`.

Importing `transformers` takes seconds, and the PyTorch that it loads where it
is installed as long again. Its tokenizers are Rust objects of `tokenizers`,
which a folder that it wrote holds as `tokenizer.json`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import tokenizers

from ifa_jax.data.text import markers

_SPECIAL = ("cls_token", "sep_token", "pad_token", "unk_token")

# Told apart by it: lower-casing, accent stripping, punctuation and Chinese
# character splitting, and whether "[SEP]" in a text is a special token.
_PROBE = ("Łódź", "don't", "NAÏVE", "#CaféTime", "東京tower", "http://t.co/a_b")
_PROBE += ("[SEP]", "<s>", "\u200d", "🎸")

# Words of a vocabulary that are tried in order to see whether it is cased.
_NUM_TRIED = 100


class WordPieces(NamedTuple):
  """A vocabulary and the Rust tokenizer that splits single words by it.

  Attributes:
    splitter: splits a word and does no more.
    vocabulary: token -> id, added tokens included.
    special: "cls_token", "sep_token", "pad_token", "unk_token" -> id.
    num_published: number of ids before the entity markers.
    sha256: of the vocabulary in id order and of how a fixed text is split.
  """

  splitter: tokenizers.Tokenizer
  vocabulary: dict[str, int]
  special: dict[str, int]
  num_published: int
  sha256: str

  @classmethod
  def of_backend(
    cls, backend: tokenizers.Tokenizer, tokens: Mapping[str, str]
  ) -> "WordPieces":
    """Copies a Rust tokenizer.

    Args:
      backend: a WordPiece tokenizer.
      tokens: of each of the `special` ones, its text.

    Raises:
      KeyError: for a special token that is not in the vocabulary.
      ValueError: if the ids are not 0, 1, 2 ...
    """
    vocabulary = backend.get_vocab(with_added_tokens=True)
    _check_ids(vocabulary)
    special = {name: vocabulary[tokens[name]] for name in _SPECIAL}
    published = _num_published(vocabulary)
    unsigned = cls(_plain_copy(backend), vocabulary, special, published, "")
    return unsigned._replace(sha256=unsigned.fingerprint())

  def split(self, words: Iterable[str]) -> list[list[int]]:
    """Returns the ids of each word."""
    encodings = self.splitter.encode_batch([*words], add_special_tokens=False)
    return [encoding.ids for encoding in encodings]

  def why_odd(self) -> str:
    """Returns how a vocabulary and the splitting of words do not fit, or "".

    A `vocab.txt` without its `tokenizer_config.json` is read in lower case,
    whatever its case.
    """
    tokens = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
    plain = [token for token in tokens if token.isalpha() and token.isascii()]
    cased = [token for token in plain if not token.islower()]
    found = {token: self.split([token])[0] for token in cased[:_NUM_TRIED]}
    lost = [t for t, ids in found.items() if ids != [self.vocabulary[t]]]
    if len(lost) > len(found) / 2:
      return (
        f"its vocabulary has {len(cased)} words with capitals, such as"
        f" {lost[0]!r}, and texts are lower-cased; a cased tokenizer needs"
        ' "do_lower_case": false in its tokenizer_config.json'
      )
    keeps_case = self.split(["A"]) != self.split(["a"])
    if plain and not cased and keeps_case:
      return (
        "its vocabulary has no capitals, and texts are not lower-cased; it"
        ' needs "do_lower_case": true in its tokenizer_config.json'
      )
    return ""

  def fingerprint(self) -> str:
    """Computes `sha256`."""
    by_id = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
    described = {
      "vocabulary": by_id[: self.num_published],
      "probe": self.split(_PROBE),
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def read(folder: str) -> WordPieces | None:
  """Reads a tokenizer that `transformers` wrote into a folder.

  The reader of `transformers` makes another tokenizer of some folders: it
  builds the normalizer of a BERT anew from `tokenizer_config.json`. Compare
  `sha256` with one that it gave.

  Returns:
    None for a folder that does not hold just that.
  """
  try:
    path = os.path.join(folder, "tokenizer.json")
    backend = tokenizers.Tokenizer.from_file(path)
    path = os.path.join(folder, "tokenizer_config.json")
    with open(path, encoding="utf-8") as file:
      config: dict[str, Any] = json.load(file)
    return WordPieces.of_backend(backend, config)
  except Exception:  # The Rust code raises nothing narrower.
    return None


def _plain_copy(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
  """Returns a copy without padding and truncation.

  Published files may ask for padding to a fixed length, which would give each
  word that many ids.
  """
  copy = tokenizers.Tokenizer.from_str(backend.to_str())
  copy.no_padding()
  copy.no_truncation()
  copy.encode_special_tokens = True
  return copy


def _check_ids(vocabulary: Mapping[str, int]) -> None:
  """Raises ValueError unless every id up to the largest has its own token."""
  missing = {*range(max(vocabulary.values()) + 1)} - {*vocabulary.values()}
  if missing:
    raise ValueError(
      f"expected a token of its own for each id, got none for {min(missing)}"
      f" ({len(missing)} in all); does this line of the vocabulary, from 0,"
      " repeat another?"
    )


def _num_published(vocabulary: Mapping[str, int]) -> int:
  """Returns the number of ids in front of the markers."""
  before = len(vocabulary) - len(markers.MARKERS)
  ids = [vocabulary.get(marker) for marker in markers.MARKERS]
  has_markers = ids == [before + i for i in range(len(ids))]
  return before if has_markers else len(vocabulary)
