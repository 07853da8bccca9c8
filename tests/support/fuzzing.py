"""Malformed inputs, and the permitted reactions of a reader.

A reader of data of others gives a result or one clear line; it starts nothing
and opens nothing outside the folder that it was given.
"""

import contextlib
import copy
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
from hypothesis import strategies as st

# CPU seconds that one input may take.
_MOST_SECONDS = 10
_FORBIDDEN = (
  "exec",
  "pickle.find_class",
  "os.",
  "shutil.",
  "socket.",
  "subprocess.",
  "ctypes.",
)
# Looking is no touching.
_HARMLESS = ("os.listdir", "os.scandir", "os.fwalk", "os.walk")


def check(
  body: Callable[..., None],
  *strategies: st.SearchStrategy,
  thorough: bool,
  few: int = 50,
  many: int = 3000,
) -> None:
  """Runs a body with inputs, the same at every run; more if asked to."""
  settings = hypothesis.settings(
    max_examples=many if thorough else few,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  settings(hypothesis.given(*strategies)(body))()


def read(reader: Callable[[], Any], folder: os.PathLike, *names: str) -> Any:
  """Returns the value that a reader reads, or its checked error.

  Args:
    reader: of files in a folder.
    folder: that it may open files of.
    names: one of which an error must hold.
  """
  start = time.process_time()
  try:
    with _watching(os.path.realpath(folder)):
      found = reader()
  except (ValueError, OSError) as error:
    found = error
    message = str(error)
    assert message
    assert len(message.splitlines()) == 1, message
    assert len(message) < 700, message
    assert any(name in message for name in names), message
  assert time.process_time() - start < _MOST_SECONDS
  return found


class Touched(BaseException):
  """A reader did something forbidden; no `except Exception` hides it."""


_PYTHON = (sys.prefix, sys.base_prefix)
_watched: str | None = None


@contextlib.contextmanager
def _watching(folder: str) -> Iterator[None]:
  """Turns whatever a reader must not do into an error that none expects."""
  global _watched
  if not _hooked:
    _hooked.append(sys.addaudithook(_look))
  _watched = folder
  try:
    yield
  finally:
    _watched = None


_hooked: list[None] = []


def _look(event: str, details: tuple[Any, ...]) -> None:
  if _watched is None:
    return
  if event == "open" and isinstance(details[0], (str, bytes)):
    path = os.path.realpath(os.fsdecode(details[0]))
    within = os.path.commonpath((path, _watched)) == _watched
    if not within and not path.startswith(_PYTHON):
      raise Touched(f"opened {path}")
  # Codecs and the like are loaded when they are first wanted.
  elif event == "exec" and details[0].co_filename.startswith(_PYTHON):
    return
  elif event.startswith(_FORBIDDEN) and event not in _HARMLESS:
    raise Touched(f"{event} {details}")


@st.composite
def damaged(draw, sound: bytes) -> bytes:
  """Sound bytes with a few flipped, cut out, put in or doubled."""
  data = bytearray(sound)
  for _ in range(draw(st.integers(1, 3))):
    begin = draw(st.integers(0, len(data)))
    end = min(len(data), begin + draw(st.integers(1, 64)))
    kind = draw(st.sampled_from(("flip", "cut", "put", "double", "end")))
    if kind == "flip" and begin < len(data):
      data[begin] ^= draw(st.integers(1, 255))
    elif kind == "cut":
      del data[begin:end]
    elif kind == "put":
      data[begin:begin] = draw(st.binary(min_size=1, max_size=16))
    elif kind == "double":
      data[begin:begin] = data[begin:end]
    elif kind == "end":
      del data[begin:]
  return bytes(data)


def plain_values(**options) -> st.SearchStrategy:
  """Values that JSON and Python literals hold, odd ones among them."""
  odd = [10**400, -(10**400), 2**63, 2**31, -1, math.nan, math.inf, -0.0]
  odd += ["", "..", "../../x", "/etc/passwd", "a\0b", "\ud83d", "\n", "🎸" * 99]
  leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(odd),
  )
  return st.recursive(
    leaves,
    lambda inner: st.one_of(
      st.lists(inner, max_size=4),
      st.dictionaries(st.text(max_size=4), inner, max_size=4),
    ),
    max_leaves=8,
  )


@st.composite
def altered(draw, sound: Any) -> Any:
  """A sound value with one part replaced, left out or doubled."""
  whole = [copy.deepcopy(sound)]
  holder, key = whole, 0
  while isinstance(holder[key], (dict, list)) and holder[key]:
    if draw(st.integers(0, 4)) == 0:
      break
    holder = holder[key]
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    key = draw(st.sampled_from(list(keys)))
  kind = draw(st.sampled_from(("replace", "replace", "remove", "double")))
  if kind == "replace" or holder is whole:
    holder[key] = draw(plain_values())
  elif kind == "remove":
    del holder[key]
  elif isinstance(holder, list):
    holder.insert(key, holder[key])
  else:
    holder[f"{key}2"] = holder[key]
  return whole[0]


def json_texts(sound: Any) -> st.SearchStrategy:
  """Bytes near a sound JSON value: damaged, altered, or nothing like it."""
  text = json.dumps(sound).encode()
  return st.one_of(
    st.binary(max_size=64),
    damaged(text),
    st.one_of(plain_values(), altered(sound)).map(
      lambda value: json.dumps(value).encode()
    ),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"\xff"]),
  )


def check_row(row: Any) -> None:
  """Checks the invariants of a row of a dataset."""
  for begin, end in (row.head, row.tail):
    assert 0 <= begin < end <= len(row.words)
  assert not set(row.img_id) & set("/\\\0")
  assert row.img_id not in (".", "..")
  "".join((*row.words, row.img_id, row.relation)).encode()
  assert row.relation.isprintable()
