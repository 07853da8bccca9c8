"""Tokenizers of folders and of the hub.

Importing `transformers` takes seconds, and as long again for PyTorch if that is
installed. Its tokenizers are Rust objects of the package `tokenizers`, which
can also read the `tokenizer.json` that it writes.
"""

import contextlib
import json
import os
from typing import Any

import tokenizers

from ifa_jax.files.shown import one_line

# Names of the special tokens in tokenizer_config.json and transformers.
SPECIAL = ("cls_token", "sep_token", "pad_token", "unk_token")

_HUB_FILES = ("*.json", "vocab.txt", "merges.txt")
# Either holds a vocabulary.
_VOCABULARIES = ("tokenizer.json", "vocab.txt")

Plain = tuple[tokenizers.Tokenizer, dict[str, str]]


def read_plain(folder: str) -> Plain | None:
  """Returns a folder's Rust tokenizer and `SPECIAL`, without `transformers`.

  None for a folder without the files that `transformers` writes.
  """
  try:
    path = os.path.join(folder, "tokenizer.json")
    backend = tokenizers.Tokenizer.from_file(path)
    path = os.path.join(folder, "tokenizer_config.json")
    with open(path, encoding="utf-8") as file:
      config: dict[str, Any] = json.load(file)
    return backend, {name: config[name] for name in SPECIAL}
  except Exception:  # The Rust code raises nothing narrower.
    return None


def read(source: str) -> Any:
  """Returns the tokenizer of `transformers` for a folder or a hub id.

  Raises:
    ValueError: if there is none, in one line.
  """
  is_path = source.startswith((".", "/", "~")) or source.count("/") > 1
  if is_path and not os.path.isdir(source):
    raise ValueError(f"tokenizer {source!r}: there is no such folder")
  if os.path.isdir(source) and (missing := _missing(source)):
    raise ValueError(f"tokenizer {source!r}: {missing}")
  try:
    if os.path.isdir(source):
      return _read_folder(source)
    # A tokenizer in the hub's cache does not wait for the network.
    with contextlib.suppress(Exception):
      return _read_folder(_fetch(source, local_files_only=True))
    return _read_folder(_fetch(source))
  except Exception as error:  # Damaged files raise nearly anything.
    reason = one_line(error)
  raise ValueError(
    f"tokenizer {source!r}: neither a folder nor a hub id that can be loaded"
    f" ({reason})"
  )


def check(pretrained: Any) -> Plain:
  """Returns the Rust tokenizer and `SPECIAL` of one of `transformers`.

  Raises:
    ValueError: if it does not suit BERT.
  """
  if not getattr(pretrained, "is_fast", False):
    name = type(pretrained).__name__
    raise ValueError(f"expected a fast tokenizer, got {name}")
  kind = type(pretrained.backend_tokenizer.model).__name__
  if kind != "WordPiece":
    raise ValueError(f"expected BERT's WordPiece, got a {kind} tokenizer")
  missing = [name for name in SPECIAL if getattr(pretrained, name) is None]
  if missing:
    raise ValueError(f"expected a {', '.join(missing)}, got none")
  # Texts are padded with zeros, and `fusion="released"` reads the padding.
  padding = pretrained.pad_token_id
  if padding != 0:
    raise ValueError(f"expected [PAD] with id 0, got id {padding}")
  tokens = {name: str(getattr(pretrained, name)) for name in SPECIAL}
  return pretrained.backend_tokenizer, tokens


def _missing(folder: str) -> str | None:
  """Returns the error of a folder without a vocabulary.

  `transformers` makes a tokenizer of the special tokens alone, for which every
  word is unknown, from nothing but an encoder's config.json.
  """
  names = sorted(os.listdir(folder))
  if not {*names}.isdisjoint(_VOCABULARIES):
    return None
  found = ", ".join(names[:8]) + (" ..." if names[8:] else "") or "nothing"
  return f"expected {' or '.join(_VOCABULARIES)}, got {found}"


def _read_folder(folder: str) -> Any:
  # Of the hub's cache, which may hold a part of a model.
  if missing := _missing(folder):
    raise ValueError(missing)
  import transformers

  return transformers.AutoTokenizer.from_pretrained(
    folder, local_files_only=True, trust_remote_code=False
  )


def _fetch(hub_id: str, **options: Any) -> str:
  """Returns the folder of the hub's cache with a tokenizer's files.

  Fails at once if the hub is unreachable; `transformers` would retry the
  download of every file.
  """
  import huggingface_hub

  return huggingface_hub.snapshot_download(
    hub_id, allow_patterns=[*_HUB_FILES], **options
  )
