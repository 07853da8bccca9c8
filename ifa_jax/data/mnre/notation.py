r"""What a line of a text file holds: a Python literal, as published, or JSON.

Each language reads most lines of the other, and some to other words: `\/` is
`/` in JSON alone, where "\ud83d\ude00" is one emoji and not two halves. So all
lines of a file are read in the language of its first.
"""

import ast
import re
from collections.abc import Callable
from typing import Any, BinaryIO

from ifa_jax.files import json_file

Parse = Callable[[str], Any]

_LITERAL = (ast.Expression, ast.Constant, ast.Dict, ast.List, ast.Tuple)
_LITERAL += (ast.Set, ast.UnaryOp, ast.UAdd, ast.USub, ast.Load)
# An escape that JSON has and Python has not, after whole escaped backslashes.
_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")


def of_file(file: BinaryIO, most: int) -> Parse:
  """Returns what reads a file's lines, by the first that has any content.

  A line that is both is JSON; Python writes a dict's keys in single quotes.

  Args:
    file: at its beginning, where it is again afterwards.
    most: bytes to read of a line.
  """
  lines = iter(lambda: file.readline(most), b"")
  # An empty object is the same in both.
  first = next((x for x in lines if x.strip() not in (b"", b"{}")), b"")
  file.seek(0)
  text = first.decode("utf-8-sig", errors="replace").strip()
  if _reads(read_json, text):
    return read_json
  is_broken_json = text.startswith('{"') and not _reads(read_literal, text)
  return read_json if is_broken_json else read_literal


def read_json(text: str) -> Any:
  """Returns the value of a JSON text.

  Raises:
    ValueError: with the reason and the column, for all else, NaN included;
      `RepeatedKey` for a key that is there twice.
  """
  return json_file.parse(text, "as line 1 is JSON, wanted JSON", strict=True)


def read_literal(text: str) -> Any:
  """Returns the value of a Python literal; runs nothing.

  Raises:
    ValueError: as `read_json`.
    SyntaxError, TypeError, RecursionError, MemoryError: by Python's parser.
  """
  if "\\/" in text and (escape := _ESCAPED_SLASH.search(text)):
    raise ValueError(rf"\/ is JSON, line 1 is none: column {escape.end() - 1}")
  tree = ast.parse(text, mode="eval")
  for node in (tree.body, *getattr(tree.body, "values", ())):
    if isinstance(node, ast.Dict):
      keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
      json_file.unique([(str(key), None) for key in keys])
  try:
    return ast.literal_eval(tree)
  except ValueError as error:
    raise ValueError(_culprit(tree, text) or str(error)) from None


def _culprit(tree: ast.Expression, text: str) -> str:
  """Returns the first part of an expression that is no literal."""
  for node in ast.walk(tree):
    if not isinstance(node, _LITERAL):
      found = getattr(node, "id", type(node).__name__)
      before = text.encode()[: getattr(node, "col_offset", 0)].decode()
      return f"{found} is no Python literal: column {len(before) + 1}"
  return ""


def _reads(parse: Parse, text: str) -> bool:
  try:
    return isinstance(parse(text), dict)
  except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
    return False
