"""Checks the words of docstrings, comments, messages and documents.

`python tests/support/prose.py` lists the words of `AVOID` by file and line and
exits with 1 if there are any. `--rates FOLDER...` prints their number per
10 000 words of other source trees instead.
"""

import argparse
import ast
import collections
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator

# A word that this project's prose avoids, and one to use.
AVOID = {
  "what": "a noun",
  "beside": "next to, with",
  "behind": "after",
  "stands": "is",
  "lies": "is, is in",
  "says": "states, reports, names",
  "tells": "reports, shows",
  "anew": "again",
  "whoever": "anyone who",
  "nobody": "no one",
}
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
# Names of code: in backticks, in blocks, flags, addresses and links.
_CODE = re.compile(
  r"^ *```.*?^ *```|`[^`]*`|https?://\S+|--\w[\w=.-]*|\]\([^)]*\)",
  re.DOTALL | re.MULTILINE,
)
# Words of generated posts, not of this project.
_DATA = "ifa_jax/preparation/quickstart/texts.py"
_SKIPPED = {
  ".git",
  ".venv",
  ".venv-oldest",
  ".venv-newest",
  "site",
  "runs",
  "node_modules",
}


def pieces(path: pathlib.Path) -> Iterator[tuple[int, str]]:
  """Yields the line and the text of each piece of prose in a file."""
  text = path.read_text(encoding="utf-8", errors="replace")
  if path.suffix == ".py":
    yield from _comments(text)
    yield from _strings(text)
  else:
    yield 1, text


def words(path: pathlib.Path) -> Iterator[tuple[int, str]]:
  """Yields the line and the lower-cased word, code left out."""
  for first, text in pieces(path):
    prose = _CODE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for offset, line in enumerate(prose.splitlines()):
      for word in _WORD.findall(line):
        yield first + offset, word.lower()


def files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the Python and Markdown files of a tree."""
  return [
    path
    for path in sorted(folder.rglob("*"))
    if path.suffix in (".py", ".md")
    and not path.match(_DATA)
    and not _SKIPPED & set(path.relative_to(folder).parts)
  ]


def rates(folder: pathlib.Path) -> tuple[int, dict[str, float]]:
  """Returns the number of words, and of each to avoid in 10 000 of them."""
  counts: collections.Counter[str] = collections.Counter()
  for path in files(folder):
    try:
      counts.update(word for _, word in words(path))
    except (SyntaxError, tokenize.TokenError):
      print(f"{path}: not Python; left out", file=sys.stderr)
  total = counts.total()
  return total, {word: 1e4 * counts[word] / total for word in AVOID}


def _comments(text: str) -> Iterator[tuple[int, str]]:
  for token in tokenize.generate_tokens(io.StringIO(text).readline):
    if token.type == tokenize.COMMENT:
      yield token.start[0], token.string


def _strings(text: str) -> Iterator[tuple[int, str]]:
  """Yields docstrings, and strings of three words or more: messages, helps."""
  for node in ast.walk(ast.parse(text)):
    if (
      isinstance(node, ast.Constant)
      and isinstance(node.value, str)
      and len(_WORD.findall(node.value)) > 2
    ):
      yield node.lineno, node.value


def _print_rates(folders: list[str]) -> None:
  print("| words | " + " | ".join(AVOID) + " | all |")
  for name in folders:
    total, found = rates(pathlib.Path(name))
    numbers = [f"{rate:.1f}" for rate in (*found.values(), sum(found.values()))]
    print(f"| {total} | " + " | ".join(numbers) + f" | {name}")


def main() -> int:
  """Returns the exit status: 1 if a word is to be replaced."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rates", nargs="+", metavar="FOLDER")
  options = parser.parse_args()
  if options.rates:
    _print_rates(options.rates)
    return 0
  root = pathlib.Path(__file__).parents[2]
  found = [
    f"{path.relative_to(root)}:{line}: {word!r}; use {AVOID[word]}"
    for path in files(root)
    for line, word in words(path)
    if word in AVOID
  ]
  print(*found, sep="\n")
  return bool(found)


if __name__ == "__main__":
  sys.exit(main())
