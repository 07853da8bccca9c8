"""Differences between a recorded run and the run that is asked for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ifa_jax.files.shown import first_of

# Settings that may change when a run is resumed: none of them changes a result,
# except that `parallel` changes dropout between pmap and the others, as the
# number of devices does, and `on_bad_numbers` decides whether a run goes on
# after an update that was not made. The dataset is compared by its content, not
# its place.
_FREE = frozenset(
  {
    "data.data_dir",
    "data.cache",
    "data.tokenizer",
    "train.log_steps",
    "train.on_bad_numbers",
    "train.parallel",
    "train.progress",
  }
)
# Reported first, since counts and sizes follow from it.
RELATIONS = "dataset.relations"
# How many names an error lists.
_NUM_NAMED = 3


def find(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
  """Returns the first difference and a remedy, or None for the same run.

  Both sides are `config` and `dataset` as plain values. "seed: expected 1 as
  recorded, got 2; choose another --workdir, or ...".
  """
  # Through JSON, as the record was: tuples become lists.
  old, new = (
    dict(_flatten(json.loads(json.dumps(side)))) for side in (recorded, asked)
  )
  for key in sorted({*old, *new}, key=lambda key: (key != RELATIONS, key)):
    name = key.removeprefix("config.")
    if name in _FREE or key.startswith("dataset.prepared_with"):
      continue
    if old.get(key) != new.get(key):
      found = _difference(old.get(key), new.get(key))
      return f"{name}: expected {found}; {_advice(name)}"
  return None


def _advice(name: str) -> str:
  if name == RELATIONS:
    return (
      "prepare the dataset with the run's relations in the run's order, or"
      " choose another --workdir"
    )
  if name.startswith("dataset."):
    return "prepare the same dataset, or choose another --workdir"
  return "choose another --workdir, or the same settings"


def _difference(old: Any, new: Any) -> str:
  """Returns "1 as recorded, got 2"; of two lists of names, the difference."""
  if not (_are_names(old) and _are_names(new)):
    return f"{old!r} as recorded, got {new!r}"
  lost = [repr(name) for name in old if name not in new]
  added = [repr(name) for name in new if name not in old]
  if lost or added:
    return f"{_listed(lost)} as recorded, got {_listed(added)} instead"
  moved = [
    f"{i} is {ours!r}, not {theirs!r}"
    for i, (ours, theirs) in enumerate(zip(new, old, strict=False))
    if ours != theirs
  ]
  return f"the recorded order, got another: {_listed(moved)}"


def _are_names(value: Any) -> bool:
  return isinstance(value, list) and all(isinstance(x, str) for x in value)


def _listed(names: list[str]) -> str:
  """Returns "a, b", or "a, b, c, and 6 more"."""
  return ", ".join(first_of(names, _NUM_NAMED)) or "none"


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Yields ("a.b", value) for every leaf of nested dicts."""
  if not isinstance(tree, Mapping):
    yield prefix, tree
    return
  for key, value in tree.items():
    yield from _flatten(value, f"{prefix}.{key}" if prefix else key)
