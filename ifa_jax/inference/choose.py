"""Chooses the relations of a post among the probabilities of its pairs."""

import dataclasses
import functools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.data import relation_names
from ifa_jax.files.shown import shown

_log = logging.getLogger("ifa_jax")
# The head's and the tail's type in a name such as /per/org/member_of.
_NAME = re.compile(r"/([^/]+)/([^/]+)/[^/]+")

Types = tuple[Sequence[str], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Choice:
  """Which relations a record lists; probabilities are always the model's.

  Attributes:
    threshold: least probability, of all relations or by name; a relation that
      is not named has none.
    top_k: relations a post at most, None for all.
    allowed: relation -> (types of heads, types of tails), or "names" for the
      types in names such as /per/org/member_of. A pair gets the most probable
      of the relations that its types allow. An entity without a type, and a
      relation that is not named, are not limited.
    symmetric: relations of which both directions are one, the more probable.
    probabilities: whether each relation has the distribution of its pair.
  """

  threshold: float | Mapping[str, float] = 0.0
  top_k: int | None = None
  allowed: Mapping[str, Types] | str | None = None
  symmetric: Iterable[str] = ()
  probabilities: bool = False

  def __post_init__(self):
    """Raises ValueError for a malformed value."""
    if isinstance(self.threshold, Mapping):
      for name, value in self.threshold.items():
        _check_probability(f"threshold of {name!r}", value)
    else:
      _check_probability("threshold", self.threshold)
    if self.top_k is not None and self.top_k < 1:
      raise ValueError(f"top_k: expected at least 1, got {self.top_k}")
    if isinstance(self.symmetric, str):
      raise ValueError(
        f"symmetric: expected a list of relations, got {self.symmetric!r}"
      )

  def check(self, relations: Sequence[str]) -> None:
    """Raises ValueError for a relation that the model lacks."""
    if isinstance(self.threshold, Mapping):
      _check_names("threshold", self.threshold, relations)
    _check_names("symmetric", self.symmetric, relations)
    _check_names("allowed", _types(self.allowed, relations), relations)

  def relations(
    self,
    pairs: Iterable[tuple[int, int, np.ndarray]],
    types: Sequence[str | None],
    names: Sequence[str],
  ) -> list[dict[str, Any]]:
    """Returns the relations of a post, the most probable first.

    Args:
      pairs: (head, tail, float32[C]) by the index of entities.
      types: of the entities.
      names: of the C relations.
    """
    allowed, found = _types(self.allowed, names), []
    for head, tail, probabilities in pairs:
      fits = [_fits(allowed.get(x), types[head], types[tail]) for x in names]
      if not any(fits):
        continue
      best = int(np.where(fits, probabilities, -1).argmax())
      rounded = [round(float(p), 6) for p in probabilities]
      name, probability = names[best], rounded[best]
      if relation_names.is_none(name) or probability < self._least(name):
        continue
      record = {"head": head, "tail": tail, "relation": name}
      record["probability"] = probability
      if self.probabilities:
        record["probabilities"] = dict(zip(names, rounded, strict=True))
      found.append(record)
    found.sort(key=lambda x: (-x["probability"], x["head"], x["tail"]))
    return self._merged(found)[: self.top_k]

  def warn_unknown(
    self, types: Iterable[str | None], relations: Sequence[str]
  ) -> None:
    """Logs a warning, once, for types of entities that no relation allows."""
    allowed = _types(self.allowed, relations).values()
    known = {kind for sides in allowed for side in sides for kind in side}
    if known and (unknown := {*filter(None, types)} - known):
      _warn_of_types(*(tuple(map(shown, sorted(x))) for x in (known, unknown)))

  def _least(self, relation: str) -> float:
    if isinstance(self.threshold, Mapping):
      return self.threshold.get(relation, 0.0)
    return self.threshold

  def _merged(self, ranked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keeps the first of both directions of a symmetric relation."""
    symmetric, seen, kept = {*self.symmetric}, set(), []
    for record in ranked:
      key = (record["relation"], record["head"], record["tail"])
      if record["relation"] in symmetric and (key[0], key[2], key[1]) in seen:
        continue
      seen.add(key)
      kept.append(record)
    return kept


def types_of_name(relation: str) -> tuple[str, str] | None:
  """Returns the types of head and tail in a relation's name, if it has them."""
  found = _NAME.fullmatch(relation)
  return (found[1], found[2]) if found else None


def _types(
  allowed: Mapping[str, Types] | str | None, relations: Sequence[str]
) -> Mapping[str, Types]:
  if allowed is None:
    return {}
  if isinstance(allowed, str):
    if allowed != "names":
      raise ValueError(f"allowed: expected 'names', got {allowed!r}")
    found = {relation: types_of_name(relation) for relation in relations}
    return {name: ([x[0]], [x[1]]) for name, x in found.items() if x}
  for name, value in allowed.items():
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    if not is_pair or not all(
      isinstance(side, (list, tuple)) and all(isinstance(x, str) for x in side)
      for side in value
    ):
      raise ValueError(
        f"allowed: expected [[head types], [tail types]] for {name!r}, got"
        f" {shown(value)}"
      )
  return allowed


def _check_probability(where: str, value: Any) -> None:
  is_number = isinstance(value, (int, float)) and type(value) is not bool
  if not is_number or not 0 <= value <= 1:
    raise ValueError(
      f"{where}: expected a number from 0 to 1, got {shown(value)}"
    )


# A program may predict many posts one by one.
@functools.lru_cache
def _warn_of_types(known: Sequence[str], unknown: Sequence[str]) -> None:
  _log.warning(
    "allowed: expected entities of the types %s, got %s: none of the relations"
    " that it limits is listed for these",
    *(", ".join(known), ", ".join(unknown)),
  )


def _fits(types: Types | None, head: str | None, tail: str | None) -> bool:
  return types is None or (
    (head is None or head in types[0]) and (tail is None or tail in types[1])
  )


def _check_names(
  where: str, names: Iterable[str], relations: Sequence[str]
) -> None:
  for name in names:
    if name not in relations:
      raise ValueError(
        f"{where}: expected relations of the model, such as {relations[-1]},"
        f" got {shown(name)}"
      )
