r"""The language of a text file's lines: Python literals, as published, or JSON.

Most lines are valid in both, but some have another value: `\/` is `/` only in
JSON, where "\ud83d\ude00" is one emoji instead of two surrogates. So all lines
of a file are read in the language of the first.
"""

import ast
import re
from collections.abc import Callable
from typing import Any, BinaryIO

from ifa_jax.files import json_file

Parse = Callable[[str], Any]

# Of a line. The longest published one has 426.
MAX_BYTES = 1 << 20

# The errors of both parsers.
ERRORS = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)

_LITERAL = (ast.Expression, ast.Constant, ast.Dict, ast.List, ast.Tuple)
_LITERAL += (ast.Set, ast.UnaryOp, ast.UAdd, ast.USub, ast.Load)
# An escape of JSON but not of Python, after complete escaped backslashes.
_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")


def of_file(file: BinaryIO) -> Parse:
  """Returns the parser for a file, chosen by its first line with content.

  A line that is valid in both is JSON; Python writes keys in single quotes.
  Reads at most `MAX_BYTES` + 1 per line and rewinds the file.
  """
  lines = iter(lambda: file.readline(MAX_BYTES + 1), b"")
  # An empty object is equal in both.
  first = next((x for x in lines if x.strip() not in (b"", b"{}")), b"")
  file.seek(0)
  text = first.decode("utf-8-sig", errors="replace").strip()
  if _is_object(read_json, text):
    return read_json
  is_broken_json = text.startswith('{"') and not _is_object(read_literal, text)
  return read_json if is_broken_json else read_literal


def read_json(text: str) -> Any:
  """Returns the value of a JSON text.

  Raises:
    ValueError: for anything else, including NaN, with reason and column;
      `RepeatedKey` for a repeated key.
  """
  return json_file.parse(text, "as line 1 is JSON, expected JSON", strict=True)


def read_literal(text: str) -> Any:
  """Returns the value of a Python literal; runs no code.

  Raises:
    ValueError: as `read_json`.
    SyntaxError, TypeError, RecursionError, MemoryError: by Python's parser.
  """
  if "\\/" in text and (escape := _ESCAPED_SLASH.search(text)):
    raise ValueError(
      rf"\/ is JSON, and line 1 is not: column {escape.end() - 1}"
    )
  tree = ast.parse(text, mode="eval")
  for node in (tree.body, *getattr(tree.body, "values", ())):
    if isinstance(node, ast.Dict):
      keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
      json_file.unique([(str(key), None) for key in keys])
  try:
    return ast.literal_eval(tree)
  except ValueError as error:
    others = (n for n in ast.walk(tree) if not isinstance(n, _LITERAL))
    if (culprit := next(others, None)) is None:
      raise
    name = getattr(culprit, "id", type(culprit).__name__)
    before = text.encode()[: getattr(culprit, "col_offset", 0)].decode()
    raise ValueError(
      f"{name} is not a Python literal: column {len(before) + 1}"
    ) from error


def _is_object(parse: Parse, text: str) -> bool:
  try:
    return isinstance(parse(text), dict)
  except ERRORS:
    return False
