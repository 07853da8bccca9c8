"""Names of the arrays in an Orbax checkpoint, as nested dicts.

Orbax needs the structure of what it restores. Deriving that from a model's
config means tracing the model, and asking Orbax means opening every array, the
optimizer's too: both take longer than restoring a small model.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

# Written by every version of Orbax that writes OCDBT, and read by all since.
_FILE = "_METADATA"


def read(folder: str | os.PathLike[str], part: str) -> dict[str, Any]:
  """Returns the arrays' structure below one key of a checkpoint's tree.

  Args:
    folder: of the tree, with its `_METADATA`.
    part: key at the top, of a tree of dicts.

  Returns:
    Nested dicts; each leaf is the path of an array, such as "text/norm/bias".

  Raises:
    ValueError: if the file is not as Orbax writes it, naming it.
    OSError: if there is none.
  """
  path = os.path.join(folder, _FILE)
  with open(path, encoding="utf-8") as file:
    try:
      entries = json.load(file)["tree_metadata"].values()
      paths = [[k["key"] for k in entry["key_metadata"]] for entry in entries]
      return _nest([keys[1:] for keys in paths if keys[:1] == [part]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise ValueError(
        f"{path}: want the metadata of an Orbax checkpoint ({error!r})"
      ) from None


def _nest(paths: Sequence[Sequence[str]]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for *parents, name in paths:
    inside = tree
    for parent in parents:
      inside = inside.setdefault(parent, {})
    inside[name] = "/".join([*parents, name])
  return tree
