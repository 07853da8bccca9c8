"""Words with entity markers to WordPiece ids."""

import collections
import contextlib
import copy
import functools
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ifa_jax.data.text import markers, wordpieces
from ifa_jax.data.text.wordpieces import WordPieces

_log = logging.getLogger("ifa_jax")

# [CLS], [SEP] and the four markers.
NUM_SPECIAL = 2 + len(markers.MARKERS)

_HUB_FILES = ("*.json", "vocab.txt", "merges.txt")

# Tweets repeat their words: 15 485 of them hold 34 270 distinct ones.
_MAX_CACHED_WORDS = 200_000
# So the cache has a size in bytes too.
_MAX_CACHED_LENGTH = 100


class Encoded(NamedTuple):
  """A text as a model reads it, without padding. T: its tokens.

  Attributes:
    input_ids: T ids: [CLS] ... <s> head </s> ... <o> tail </o> ... [SEP].
    word_ids: T indices of the words that the tokens belong to; -1 for [CLS],
      [SEP] and markers.
    head_start: index of `<s>`.
    tail_start: index of `<o>`.
  """

  input_ids: list[int]
  word_ids: list[int]
  head_start: int
  tail_start: int


class Tokenizer:
  """A WordPiece tokenizer with the four entity markers behind its vocabulary.

  The markers have the ids V .. V+3 in the order of `markers.MARKERS`, V being
  the size of the tokenizer as it was published; one that has them there already
  is the same tokenizer. No text can produce them, nor a special token: each
  word is split by itself, and "[SEP]" or "<s>" in it is punctuation and
  letters.

  Attributes:
    name: the hub's id, or the last part of the folder's path.
    vocab_size: number of ids, the markers' included.
    sha256: hash of the vocabulary and of how a fixed text is split; equal for
      tokenizers that give equal ids.
  """

  def __init__(self, pieces: WordPieces, name: str, source: str):
    """Takes a vocabulary; `load` is the usual way.

    Args:
      pieces: the vocabulary and how it splits words.
      name: see the class.
      source: what `load` was given.
    """
    self._wordpieces = pieces
    self._source = source
    self._num_published = pieces.num_published
    self._pieces: dict[str, list[int]] = {}
    self.name = name
    self.vocab_size = self._num_published + len(markers.MARKERS)
    self.sha256 = pieces.sha256

  @classmethod
  def load(
    cls, id_or_dir: str | os.PathLike, sha256: str | None = None
  ) -> "Tokenizer":
    """Loads a tokenizer from a folder, or by its id from the hub.

    Args:
      id_or_dir: the folder or the id.
      sha256: that a folder's tokenizer had when it was written. One that has
        it still is read without `transformers`, which takes seconds to import.

    Raises:
      ValueError: if there is none, or it is not a WordPiece tokenizer with
        [CLS], [SEP] and [PAD], the last with id 0. The message is one line.
    """
    source = os.fspath(id_or_dir)
    is_folder = os.path.isdir(source)
    name = os.path.basename(os.path.abspath(source)) if is_folder else source
    if sha256 and is_folder:
      pieces = wordpieces.read(source)
      if pieces is not None and pieces.sha256 == sha256:
        return cls(pieces, name, source)
    pretrained = _load_pretrained(source)
    problem = _why_unfit(pretrained)
    if problem:
      raise ValueError(f"tokenizer {source!r}: {problem}")
    try:
      loaded = cls(_pieces_of(pretrained), name, source)
    except ValueError as error:
      raise ValueError(f"tokenizer {source!r}: {error}") from None
    if odd := loaded._wordpieces.why_odd():
      _log.warning("tokenizer %r: %s", source, odd)
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
    return _load_pretrained(self._source)

  def save(self, folder: str | os.PathLike) -> None:
    """Writes a folder that `load` reads, with the same `sha256`."""
    self._pretrained.save_pretrained(os.fspath(folder))

  def save_with_markers(self, folder: str | os.PathLike) -> None:
    """Writes a folder whose tokenizer reads "<s>" in a text as a marker.

    So `transformers` gives the markers the ids that they have here; `load`
    reads it with the same `sha256` too.
    """
    marked = copy.deepcopy(self._pretrained)
    marked.add_tokens(list(markers.MARKERS), special_tokens=True)
    marked.save_pretrained(os.fspath(folder))

  def ids_of(self, tokens: Sequence[str]) -> list[int]:
    """Returns the ids of tokens of the vocabulary.

    Raises:
      ValueError: for tokens that are not in it, naming them.
    """
    vocabulary = self._wordpieces.vocabulary
    missing = [token for token in tokens if token not in vocabulary]
    if missing:
      raise ValueError(
        f"tokenizer {self.name!r}: want {', '.join(missing)} in its vocabulary,"
        " found none"
      )
    return [vocabulary[token] for token in tokens]

  def encode(
    self,
    words: Sequence[str],
    head: markers.Span,
    tail: markers.Span,
    text_len: int,
  ) -> Encoded:
    """Splits a text into at most `text_len` ids, with markers.

    A text that is too long keeps a window of words around both entities (see
    `markers.window`). A word without pieces, such as a lone zero-width space,
    leaves no token; if that leaves an entity empty, its first word is [UNK].

    Args:
      words: the text.
      head: (begin, end) words of the head.
      tail: (begin, end) words of the tail.
      text_len: tokens that fit, [CLS], [SEP] and markers included.

    Raises:
      ValueError: if a span is empty or leaves the text, or if the entities
        alone do not fit.
    """
    tokens = markers.insert_markers(words, head, tail)
    pieces, special = self._split(words), self._wordpieces.special
    for begin, end in (head, tail):
      if not any(pieces[begin:end]):
        pieces[begin] = [special["unk_token"]]
    num_pieces = [len(ids) for ids in pieces]
    kept = set(markers.window(num_pieces, head, tail, text_len - NUM_SPECIAL))
    input_ids, word_ids = [special["cls_token"]], [-1]
    starts = {}
    for text, word in tokens:
      if word is None:
        starts[text] = len(input_ids)
        input_ids.append(self._num_published + markers.MARKERS.index(text))
        word_ids.append(-1)
      elif word in kept:
        input_ids.extend(pieces[word])
        word_ids.extend([word] * num_pieces[word])
    input_ids.append(special["sep_token"])
    word_ids.append(-1)
    return Encoded(input_ids, word_ids, starts["<s>"], starts["<o>"])

  def num_unknown(self, encoded: Encoded) -> int:
    """Returns how many words of a text have an [UNK] among their tokens."""
    unknown = self._wordpieces.special["unk_token"]
    pairs = zip(encoded.input_ids, encoded.word_ids, strict=True)
    return len({word for token, word in pairs if token == unknown})

  def _split(self, words: Iterable[str]) -> list[list[int]]:
    """Returns the ids of each word, from the cache where it has them."""
    cache = self._pieces
    unseen = [word for word in dict.fromkeys(words) if word not in cache]
    if len(cache) + len(unseen) > _MAX_CACHED_WORDS:
      # Another thread may still read the one that is full.
      cache = self._pieces = {}
      unseen = list(dict.fromkeys(words))
    pieces = cache
    if unseen:
      split = dict(zip(unseen, self._wordpieces.split(unseen), strict=True))
      cache.update(
        {w: ids for w, ids in split.items() if len(w) <= _MAX_CACHED_LENGTH}
      )
      pieces = collections.ChainMap(cache, split)
    return [pieces[word] for word in words]


def _pieces_of(pretrained: Any) -> WordPieces:
  """Returns the vocabulary of a fast tokenizer of `transformers`."""
  names = ("cls_token", "sep_token", "pad_token", "unk_token")
  tokens = {name: str(getattr(pretrained, name)) for name in names}
  return WordPieces.of_backend(pretrained.backend_tokenizer, tokens)


def _load_pretrained(source: str):
  """Returns the tokenizer of `transformers`, from disk where it lies there."""
  looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1
  if looks_like_path and not os.path.isdir(source):
    raise ValueError(f"tokenizer {source!r}: there is no such folder")
  try:
    if os.path.isdir(source):
      return _read_pretrained(source)
    # A tokenizer in the hub's cache does not wait for the network.
    with contextlib.suppress(Exception):
      return _read_pretrained(_fetch(source, local_files_only=True))
    return _read_pretrained(_fetch(source))
  except Exception as error:  # Damaged files raise nearly anything.
    reason = " ".join(str(error).split())[:200]
  raise ValueError(
    f"tokenizer {source!r}: neither a folder nor a hub id that can be loaded"
    f" ({reason})"
  )


def _read_pretrained(folder: str):
  """Returns the tokenizer of `transformers` that lies in a folder."""
  import transformers

  return transformers.AutoTokenizer.from_pretrained(
    folder, local_files_only=True, trust_remote_code=False
  )


def _fetch(hub_id: str, **options: Any) -> str:
  """Returns the folder of the hub's cache with a tokenizer's files.

  At once: `transformers` would ask an unreachable hub for one after another,
  several times each.
  """
  import huggingface_hub

  return huggingface_hub.snapshot_download(
    hub_id, allow_patterns=[*_HUB_FILES], **options
  )


def _why_unfit(pretrained) -> str:
  """Returns what keeps this tokenizer from feeding a BERT, or ""."""
  if not getattr(pretrained, "is_fast", False):
    return f"{type(pretrained).__name__} is not a fast tokenizer"
  kind = type(pretrained.backend_tokenizer.model).__name__
  if kind != "WordPiece":
    return f"it is a {kind} tokenizer, BERT's WordPiece is wanted"
  wanted = ("cls_token", "sep_token", "pad_token", "unk_token")
  missing = [name for name in wanted if getattr(pretrained, name) is None]
  if missing:
    return f"it has no {', '.join(missing)}"
  # Texts are padded with zeros, and `fusion="released"` reads the padding.
  padding = pretrained.pad_token_id
  return "" if padding == 0 else f"expected [PAD] with id 0, got id {padding}"
