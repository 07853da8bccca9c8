"""Posts and their predictions as JSON lines, one at a time.

Lines are read one by one, at most `MAX_BYTES` of each, so that memory does not
grow with the file. "-" is standard input or output.
"""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from ifa_jax.files import json_file

# Enough for a picture of 24 MB in base64.
MAX_BYTES = 1 << 25

STANDARD = "-"

_log = logging.getLogger("ifa_jax")
# Characters of an invalid line in its record.
_NUM_SHOWN = 200


def read(file: BinaryIO, first: int = 1) -> Iterator[dict[str, Any]]:
  """Yields the post in each line that is not blank.

  A line that is not a JSON object, or longer than `MAX_BYTES`, yields `line`
  (from `first`), its first characters as `not_json`, and a `reason`;
  `ifa_jax.inference` refuses it.
  """
  for number, line in enumerate(bounded_lines(file), start=first):
    if not line.strip():
      continue
    where = f"line {number}"
    try:
      if len(line.rstrip(b"\n")) > MAX_BYTES:
        raise ValueError(f"{where}: longer than {MAX_BYTES >> 20} MB")
      value = json_file.parse(line.rstrip(), where, strict=True)
      if not isinstance(value, dict):
        raise ValueError(
          f"{where}: expected a JSON object, got a {type(value).__name__}"
        )
      yield value
    except ValueError as error:
      start = line.decode(errors="replace").strip()[:_NUM_SHOWN]
      yield {"line": number, "not_json": start, "reason": str(error)}


@contextlib.contextmanager
def reading(source: str) -> Iterator[Iterator[dict[str, Any]]]:
  """Opens a file of posts; see `read`."""
  if source == STANDARD:
    yield read(sys.stdin.buffer)
    return
  with open(source, "rb") as file:
    yield read(file)


@contextlib.contextmanager
def writing(target: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
  """Opens a file for records, which appears only when all are written.

  After an error, the records written so far remain in `TARGET.partial`, and
  the log names it.
  """
  if target == STANDARD:
    yield _print
    return
  partial = f"{target}.partial"
  count = 0
  try:
    # Lone surrogates are written as they were read, as "\ud83d".
    with open(
      partial, "w", encoding="utf-8", errors="backslashreplace"
    ) as file:

      def write(record):
        nonlocal count
        file.write(f"{_line(record)}\n")
        count += 1

      yield write
  except BaseException:
    if count:
      _log.info("%s: holds the first %d records", partial, count)
    elif os.path.exists(partial):
      os.remove(partial)
    raise
  os.replace(partial, target)


def _print(record: Mapping[str, Any]) -> None:
  line = _line(record)
  try:
    line.encode(sys.stdout.encoding or "utf-8")
  except UnicodeEncodeError:
    # JSON has escapes for characters that a console lacks.
    line = json.dumps(record)
  print(line, flush=True)


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
  """Yields lines, cut after `MAX_BYTES` + 1."""
  while line := file.readline(MAX_BYTES + 1):
    rest = line
    while rest and not rest.endswith(b"\n"):
      rest = file.readline(MAX_BYTES)
    yield line


def _line(record: Mapping[str, Any]) -> str:
  return json.dumps(record, ensure_ascii=False)
