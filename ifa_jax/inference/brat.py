"""Posts with entities and their relations as a folder for brat.

Source of the format: https://brat.nlplab.org/standoff.html and
https://brat.nlplab.org/configuration.html. NAME.txt is the text of a post, and
NAME.ann has lines of entities and of relations:

    T1	per 0 3	Ann
    R1	per_org_member_of Arg1:T1 Arg2:T2

An entity that goes over the end of a line has a span in each line. A tab, and
the CR of a CRLF, is written as a space, so that every reader counts the same
characters.
"""

import collections
import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.data import relation_names
from ifa_jax.inference.choose import types_of_name
from ifa_jax.inference.pairs import Entities, read_entities

# The type of an entity without one.
UNTYPED = "Entity"
CONFIG = "annotation.conf"

_log = logging.getLogger("ifa_jax")
_PART_OF_LINE = re.compile(r"\S(?:[^\n]*\S)?")
_MAX_NAME = 100

Write = Callable[[Mapping[str, Any]], None]


@contextlib.contextmanager
def writing(folder: str, relations: Sequence[str]) -> Iterator[Write]:
  """Opens a folder for records; `annotation.conf` is written at the end.

  Args:
    folder: new or empty.
    relations: of the model.

  Raises:
    ValueError: if the folder is not empty, or two relations have one name in
      brat.
  """
  named = _named(relations)
  check_folder(folder)
  os.makedirs(folder, exist_ok=True)
  used: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
  types: set[str] = set()
  count = 0

  def write(record: Mapping[str, Any]) -> None:
    nonlocal count
    count += 1
    if "relations" not in record or "error" in record:
      reason = record.get("error", "expected entities, got head and tail")
      _log.warning("post %d: not written for brat: %s", count, reason)
      return
    entities = read_entities(record)
    kinds = [safe(kind or UNTYPED) for kind in entities.types]
    types.update(kinds)
    for x in record["relations"]:
      used[x["relation"]].add((kinds[x["head"]], kinds[x["tail"]]))
    _write_post(_free(folder, record.get("id"), count), record, entities, named)

  yield write
  config = _config(named, used, types)
  with open(os.path.join(folder, CONFIG), "w", encoding="utf-8") as file:
    file.write(config)


def check_folder(folder: str) -> None:
  """Raises ValueError unless a folder is new or empty."""
  if os.path.exists(folder) and (
    not os.path.isdir(folder) or os.listdir(folder)
  ):
    raise ValueError(f"--output: expected a new or empty folder, got {folder}")


def safe(name: str) -> str:
  """Returns a name of letters that brat allows."""
  return re.sub(r"[^A-Za-z0-9_-]", "_", name.strip("/")) or "_"


def _named(relations: Sequence[str]) -> dict[str, str]:
  is_none = relation_names.is_none
  named = {name: safe(name) for name in relations if not is_none(name)}
  for name, short in named.items():
    if (first := [*named.values()].index(short)) != [*named].index(name):
      raise ValueError(
        f"brat: expected relations that differ in letters and digits, got"
        f" {[*named][first]!r} and {name!r}"
      )
  return named


def _free(folder: str, name: Any, number: int) -> str:
  """Returns a path without suffix, of which the folder has no files.

  Args:
    folder: of all files.
    name: an `id`, which names the files if it has ASCII letters or digits.
    number: names them otherwise.
  """
  base = re.sub(r"[^A-Za-z0-9_-]", "_", str(name))[:_MAX_NAME]
  if name is None or not base.strip("_"):
    base = str(number)
  path, copy = os.path.join(folder, base), 1
  while os.path.lexists(f"{path}.txt"):
    copy += 1
    path = os.path.join(folder, f"{base}-{copy}")
  return path


def _write_post(
  path: str,
  record: Mapping[str, Any],
  entities: Entities,
  named: Mapping[str, str],
) -> None:
  """Writes the text and the annotations of a post."""
  text = entities.text.replace("\r\n", " \n").replace("\r", "\n")
  text = text.replace("\t", " ")
  lines = []
  for i, (span, kind) in enumerate(
    zip(entities.spans, entities.types, strict=True), start=1
  ):
    parts = [*_PART_OF_LINE.finditer(text, *span)]
    offsets = ";".join(f"{part.start()} {part.end()}" for part in parts)
    words = " ".join(part.group() for part in parts)
    lines.append(f"T{i}\t{safe(kind or UNTYPED)} {offsets}\t{words}\n")
  for i, found in enumerate(record["relations"], start=1):
    head, tail = found["head"] + 1, found["tail"] + 1
    name = named[found["relation"]]
    lines.append(f"R{i}\t{name} Arg1:T{head} Arg2:T{tail}\n")
  for suffix, content in ((".txt", text), (".ann", "".join(lines))):
    with open(path + suffix, "w", encoding="utf-8", newline="") as file:
      file.write(content)


def _config(
  named: Mapping[str, str],
  used: Mapping[str, set[tuple[str, str]]],
  types: set[str],
) -> str:
  """Returns the types of entities, and of the arguments of relations."""
  lines, every = [], set(types)
  for name, short in named.items():
    pairs = set(used.get(name, ()))
    if by_name := types_of_name(name):
      pairs.add((safe(by_name[0]), safe(by_name[1])))
    every |= {kind for pair in pairs for kind in pair}
    heads, tails = (
      "|".join(sorted({pair[i] for pair in pairs})) or "<ENTITY>"
      for i in (0, 1)
    )
    lines.append(f"{short}\tArg1:{heads}, Arg2:{tails}")
  sections = {
    "entities": sorted(every or {UNTYPED}),
    "relations": lines,
    "events": [],
    "attributes": [],
  }
  return "\n".join(
    "".join(f"{line}\n" for line in (f"[{section}]", *content))
    for section, content in sections.items()
  )
