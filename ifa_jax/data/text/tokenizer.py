"""Words with entity markers to WordPiece ids."""

import contextlib
import copy
import functools
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

from ifa_jax.data.text import markers, tokenizer_files
from ifa_jax.data.text.encoded import Caption, Encoded

_log = logging.getLogger("ifa_jax")

# [CLS], [SEP] and the four markers.
NUM_SPECIAL = 2 + len(markers.MARKERS)

# Tweets repeat their words: 15 485 of them have 34 270 distinct ones.
_MAX_CACHED_WORDS = 200_000
# Longer words are not cached, which bounds the cache in bytes too.
_MAX_CACHED_LENGTH = 100

# Depends on lower-casing, accent stripping, the splitting of punctuation and
# Chinese characters, and the handling of special tokens in a text.
_PROBE = ("Łódź", "don't", "NAÏVE", "#CaféTime", "東京tower", "http://t.co/a_b")
_PROBE += ("[SEP]", "<s>", "\u200d", "🎸")

# Words of a vocabulary to test for whether they keep their capitals.
_NUM_TRIED = 100


class Tokenizer:
  """A WordPiece tokenizer with four entity markers added to its vocabulary.

  The markers have the ids V .. V+3 in the order of `markers.MARKERS`, V being
  the published size of the vocabulary; one that already has them there is the
  same tokenizer. No text produces markers or special tokens: each word is split
  separately, and "[SEP]" or "<s>" in it is punctuation and letters.

  Attributes:
    name: id on the hub, or last part of the folder's path.
    vocab_size: number of ids, markers included.
    sha256: hash of the vocabulary and of the splitting of a fixed text; equal
      for tokenizers that give equal ids.
  """

  def __init__(
    self,
    backend: tokenizers.Tokenizer,
    special: Mapping[str, str],
    source: str,
  ):
    """Copies a Rust tokenizer; `load` is the usual constructor.

    Args:
      backend: a WordPiece tokenizer.
      special: the tokens of `tokenizer_files.SPECIAL`.
      source: folder or hub id of the tokenizer.

    Raises:
      KeyError: for a special token that is not in the vocabulary.
      ValueError: if the ids are not 0, 1, 2 ...
    """
    self._source = source
    path = os.path.abspath(source)
    self.name = os.path.basename(path) if os.path.isdir(source) else source
    self._backend = tokenizers.Tokenizer.from_str(backend.to_str())
    # Published files may pad to a fixed length, which would apply to each word.
    self._backend.no_padding()
    self._backend.no_truncation()
    self._backend.encode_special_tokens = True
    self._cached_split = functools.lru_cache(_MAX_CACHED_WORDS)(self._split)
    self._vocabulary = backend.get_vocab(with_added_tokens=True)
    _check_ids(self._vocabulary)
    self._special = {k: self._vocabulary[token] for k, token in special.items()}
    by_id = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
    if tuple(by_id[-len(markers.MARKERS) :]) == markers.MARKERS:
      by_id = by_id[: -len(markers.MARKERS)]
    self._num_published = len(by_id)
    self.vocab_size = self._num_published + len(markers.MARKERS)
    probe = [self._split(word) for word in _PROBE]
    described = json.dumps({"vocabulary": by_id, "probe": probe})
    self.sha256 = hashlib.sha256(described.encode()).hexdigest()

  @classmethod
  def load(
    cls, id_or_dir: str | os.PathLike, sha256: str | None = None
  ) -> "Tokenizer":
    """Loads a tokenizer from a folder, or from the hub.

    Args:
      id_or_dir: the folder, or the id on the hub.
      sha256: expected hash of a folder's tokenizer. If it matches, the folder
        is read without `transformers`, which takes seconds to import.

    Raises:
      ValueError: if there is none, or it is not a WordPiece tokenizer with
        [CLS], [SEP] and [PAD], the last with id 0. The message is one line.
    """
    source = os.fspath(id_or_dir)
    # transformers may make another tokenizer of a folder: it builds BERT's
    # normalizer from tokenizer_config.json. The hash shows whether it does.
    plain = tokenizer_files.read_plain(source) if sha256 else None
    if plain is not None:
      # The Rust code raises nothing narrower.
      with contextlib.suppress(Exception):
        loaded = cls(*plain, source)
        if loaded.sha256 == sha256:
          return loaded
    pretrained = tokenizer_files.read(source)
    try:
      loaded = cls(*tokenizer_files.check(pretrained), source)
    except ValueError as error:
      raise ValueError(f"tokenizer {source!r}: {error}") from None
    loaded._warn_of_case()
    if sha256 and loaded.sha256 != sha256:
      _log.warning(
        "%s: expected a tokenizer with sha256 %s, got %s: ids may differ",
        *(source, sha256[:12], loaded.sha256[:12]),
      )
    loaded._pretrained = pretrained
    return loaded

  @functools.cached_property
  def _pretrained(self) -> Any:
    """The tokenizer of `transformers`, which writes folders."""
    return tokenizer_files.read(self._source)

  def save(self, folder: str | os.PathLike) -> None:
    """Writes a folder that `load` reads, with the same `sha256`."""
    self._pretrained.save_pretrained(os.fspath(folder))

  def save_with_markers(self, folder: str | os.PathLike) -> None:
    """Writes a folder whose tokenizer reads "<s>" in a text as a marker.

    `transformers` then gives the markers the same ids; `load` reads the folder
    with the same `sha256`.
    """
    marked = copy.deepcopy(self._pretrained)
    marked.add_tokens(list(markers.MARKERS), special_tokens=True)
    marked.save_pretrained(os.fspath(folder))

  def ids_of(self, tokens: Sequence[str]) -> list[int]:
    """Returns the ids of tokens of the vocabulary.

    Raises:
      ValueError: for tokens that are not in it, naming them.
    """
    missing = [token for token in tokens if token not in self._vocabulary]
    if missing:
      raise ValueError(
        f"tokenizer {self.name!r}: expected {', '.join(missing)} in its"
        " vocabulary, got none"
      )
    return [self._vocabulary[token] for token in tokens]

  def encode(
    self,
    words: Sequence[str],
    head: markers.Span,
    tail: markers.Span,
    text_len: int,
  ) -> Encoded:
    """Splits a text into at most `text_len` ids, [CLS], [SEP] and markers too.

    A text that is too long keeps a window of words around both entities (see
    `markers.window`). A word without pieces, such as a lone zero-width space,
    has no token; if that leaves an entity empty, its first word is [UNK].

    Raises:
      ValueError: if a span is empty or leaves the text, or if the entities
        alone exceed the limit.
    """
    tokens = markers.insert_markers(words, head, tail)
    pieces = [self._pieces(word) for word in words]
    for begin, end in (head, tail):
      if not any(pieces[begin:end]):
        pieces[begin] = [self._special["unk_token"]]
    num_pieces = [len(ids) for ids in pieces]
    kept = set(markers.window(num_pieces, head, tail, text_len - NUM_SPECIAL))
    input_ids, word_ids = [self._special["cls_token"]], [-1]
    starts = {}
    for text, word in tokens:
      if word is None:
        starts[text] = len(input_ids)
        input_ids.append(self._num_published + markers.MARKERS.index(text))
        word_ids.append(-1)
      elif word in kept:
        input_ids.extend(pieces[word])
        word_ids.extend([word] * num_pieces[word])
    input_ids.append(self._special["sep_token"])
    word_ids.append(-1)
    return Encoded(input_ids, word_ids, starts["<s>"], starts["<o>"])

  def encode_caption(self, text: str, caption_len: int) -> Caption:
    """Splits a caption into at most `caption_len` ids, [CLS] and [SEP] too.

    A text without any WordPiece is no caption.
    """
    words = text.split()
    pieces = [
      (piece, word)
      for word, part in enumerate(words)
      for piece in self._pieces(part)
    ]
    if not pieces:
      return Caption()
    ids, word_ids = zip(*pieces, strict=True)
    first, last = self._special["cls_token"], self._special["sep_token"]
    whole = Caption(words, [first, *ids, last], [-1, *word_ids, -1])
    return whole.cut(caption_len)

  def num_unknown(self, encoded: Encoded) -> int:
    """Returns how many words of a text have an [UNK] among their tokens."""
    unknown = self._special["unk_token"]
    pairs = zip(encoded.input_ids, encoded.word_ids, strict=True)
    return len({word for token, word in pairs if token == unknown})

  def _pieces(self, word: str) -> list[int]:
    """Returns the ids of a word; the cache shares the list."""
    if len(word) > _MAX_CACHED_LENGTH:
      return self._split(word)
    return self._cached_split(word)

  def _split(self, word: str) -> list[int]:
    return self._backend.encode(word, add_special_tokens=False).ids

  def _warn_of_case(self) -> None:
    """Warns if the vocabulary's case differs from that of split texts.

    A `vocab.txt` without its `tokenizer_config.json` is read in lower case.
    """
    tokens = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
    plain = [token for token in tokens if token.isalpha() and token.isascii()]
    cased = [token for token in plain if not token.islower()]
    tried = cased[:_NUM_TRIED]
    lost = [t for t in tried if self._split(t) != [self._vocabulary[t]]]
    if len(lost) > len(tried) / 2:
      _log.warning(
        "tokenizer %r: its vocabulary has %d words with capitals, such as %r,"
        " and texts are lower-cased; a cased tokenizer needs"
        ' "do_lower_case": false in its tokenizer_config.json',
        *(self._source, len(cased), lost[0]),
      )
    elif plain and not cased and self._split("A") != self._split("a"):
      _log.warning(
        "tokenizer %r: its vocabulary has no capitals, and texts are not"
        ' lower-cased; it needs "do_lower_case": true in its'
        " tokenizer_config.json",
        self._source,
      )


def _check_ids(vocabulary: Mapping[str, int]) -> None:
  """Raises ValueError unless every id up to the largest has its own token."""
  missing = {*range(max(vocabulary.values()) + 1)} - {*vocabulary.values()}
  if missing:
    raise ValueError(
      f"expected a token of its own for each id, got none for {min(missing)}"
      f" ({len(missing)} in all); does this line of the vocabulary, from 0,"
      " repeat another?"
    )
