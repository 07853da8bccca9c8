"""Words with entity markers to WordPiece ids."""

import collections
import contextlib
import copy
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ifa_jax.data import markers

# [CLS], [SEP] and the four markers.
NUM_SPECIAL = 2 + len(markers.MARKERS)

# Told apart by it: lower-casing, accent stripping, punctuation and Chinese
# character splitting, and whether "[SEP]" in a text is a special token.
_PROBE = ("Łódź", "don't", "NAÏVE", "#CaféTime", "東京tower", "http://t.co/a_b")
_PROBE += ("[SEP]", "<s>", "\u200d", "🎸")

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
    pad_id: id of [PAD].
  """

  def __init__(self, pretrained, name: str):
    """Wraps a fast tokenizer of `transformers`; `load` is the usual way."""
    self._pretrained = pretrained
    self._backend = _plain_backend(pretrained)
    self._num_published = _num_published(pretrained)
    self._pieces: dict[str, list[int]] = {}
    self.name = name
    self.vocab_size = self._num_published + len(markers.MARKERS)
    self.pad_id = pretrained.pad_token_id
    self.sha256 = self._fingerprint()

  @classmethod
  def load(cls, id_or_dir: str | os.PathLike) -> "Tokenizer":
    """Loads a tokenizer from a folder, or by its id from the hub.

    Raises:
      ValueError: if there is none, or it is not a WordPiece tokenizer with
        [CLS], [SEP] and [PAD]. The message is one line.
    """
    source = os.fspath(id_or_dir)
    name = os.path.basename(os.path.abspath(source))
    if not os.path.isdir(source):
      name = source
    pretrained = _load_pretrained(source)
    problem = _why_unfit(pretrained)
    if problem:
      raise ValueError(f"tokenizer {source!r}: {problem}")
    return cls(pretrained, name)

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
    vocabulary = self._pretrained.get_vocab()
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
    pieces = self._split(words)
    for begin, end in (head, tail):
      if not any(pieces[begin:end]):
        pieces[begin] = [self._pretrained.unk_token_id]
    num_pieces = [len(ids) for ids in pieces]
    kept = set(markers.window(num_pieces, head, tail, text_len - NUM_SPECIAL))
    input_ids, word_ids = [self._pretrained.cls_token_id], [-1]
    starts = {}
    for text, word in tokens:
      if word is None:
        starts[text] = len(input_ids)
        input_ids.append(self._num_published + markers.MARKERS.index(text))
        word_ids.append(-1)
      elif word in kept:
        input_ids.extend(pieces[word])
        word_ids.extend([word] * num_pieces[word])
    input_ids.append(self._pretrained.sep_token_id)
    word_ids.append(-1)
    return Encoded(input_ids, word_ids, starts["<s>"], starts["<o>"])

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
      encodings = self._backend.encode_batch(unseen, add_special_tokens=False)
      split = dict(zip(unseen, (e.ids for e in encodings), strict=True))
      cache.update(
        {w: ids for w, ids in split.items() if len(w) <= _MAX_CACHED_LENGTH}
      )
      pieces = collections.ChainMap(cache, split)
    return [pieces[word] for word in words]

  def _fingerprint(self) -> str:
    """Returns the sha256 of the vocabulary in id order and of the probe."""
    vocabulary = self._pretrained.get_vocab()
    by_id = sorted(vocabulary, key=vocabulary.__getitem__)
    described = {
      "vocabulary": by_id[: self._num_published],
      "probe": self._split(_PROBE),
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _num_published(pretrained) -> int:
  """Returns the number of ids in front of the markers."""
  before = len(pretrained) - len(markers.MARKERS)
  ids = pretrained.convert_tokens_to_ids(list(markers.MARKERS))
  has_markers = ids == [before + i for i in range(len(ids))]
  return before if has_markers else len(pretrained)


def _plain_backend(pretrained):
  """Returns a copy of the Rust tokenizer that splits a word and does no more.

  Published files may ask for padding to a fixed length, which would give each
  word that many ids.
  """
  import tokenizers

  backend = tokenizers.Tokenizer.from_str(pretrained.backend_tokenizer.to_str())
  backend.no_padding()
  backend.no_truncation()
  backend.encode_special_tokens = True
  return backend


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


def _fetch(hub_id: str, **options: bool) -> str:
  """Returns the folder of the hub's cache with a tokenizer's files.

  At once: `transformers` would ask an unreachable hub for one after another,
  several times each.
  """
  import huggingface_hub

  return huggingface_hub.snapshot_download(
    hub_id, allow_patterns=_HUB_FILES, **options
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
  return f"it has no {', '.join(missing)}" if missing else ""
