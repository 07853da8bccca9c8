"""What differs between the record of a run and what is asked of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Settings that two starts of one run may differ in: none of them changes what
# is computed. The dataset is compared by what is in it, not by where it lies.
_FREE = frozenset(
  {
    "data.data_dir",
    "data.cache",
    "data.tokenizer",
    "train.log_steps",
    "train.on_bad_numbers",
    "train.progress",
  }
)
# Told before all others, which follow from it.
_FIRST = "dataset.relations"
# Of names that differ, those that an error lists.
_NUM_NAMED = 3


def find(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
  """Returns the first difference and what to do, None where a run is the same.

  Args:
    there: the recorded `config` and `dataset`, plain values.
    here: the same of the start that is asked for.

  Returns:
    "seed=1, asked for 2; choose another --workdir, or the same settings".
  """
  # Through JSON, which is how the other side was kept.
  old, new = (
    dict(_flatten(json.loads(json.dumps(side)))) for side in (there, here)
  )
  for key in sorted(
    old.keys() | new.keys(), key=lambda key: (key != _FIRST, key)
  ):
    name = key.removeprefix("config.")
    if name in _FREE or key.startswith("dataset.prepared_with"):
      continue
    if old.get(key) != new.get(key):
      found = _difference(old.get(key), new.get(key))
      return f"{name}{found}; {_advice(name)}"
  return None


def _advice(name: str) -> str:
  if name == _FIRST:
    return (
      "prepare the dataset with the run's relations in the run's order, or"
      " choose another --workdir"
    )
  if name.startswith("dataset."):
    return "prepare the same dataset, or choose another --workdir"
  return "choose another --workdir, or the same settings"


def _difference(old: Any, new: Any) -> str:
  """Returns "=1, asked for 2"; of two lists of names, those that differ."""
  if not (_are_names(old) and _are_names(new)):
    return f"={old!r}, asked for {new!r}"
  lost = [repr(name) for name in old if name not in new]
  added = [repr(name) for name in new if name not in old]
  if lost or added:
    return f" with {_listed(lost)}, asked for {_listed(added)} in their place"
  moved = [
    f"{i} is {ours!r}, not {theirs!r}"
    for i, (ours, theirs) in enumerate(zip(new, old, strict=False))
    if ours != theirs
  ]
  return f" in one order, asked for another: {_listed(moved)}"


def _are_names(value: Any) -> bool:
  return isinstance(value, list) and all(isinstance(x, str) for x in value)


def _listed(names: list[str]) -> str:
  """Returns "a, b", or "a, b, c and 6 more"."""
  more = len(names) - _NUM_NAMED
  shown = ", ".join(names[:_NUM_NAMED]) or "none"
  return f"{shown} and {more} more" if more > 0 else shown


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Yields ("a.b", value) for every leaf of nested dicts."""
  if not isinstance(tree, Mapping):
    yield prefix, tree
    return
  for key, value in tree.items():
    yield from _flatten(value, f"{prefix}.{key}" if prefix else key)
