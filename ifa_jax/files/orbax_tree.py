"""Names of the arrays in an Orbax checkpoint, as nested dicts.

Orbax needs the structure of the tree that it restores. Tracing the model, or
asking Orbax, which opens every array, takes longer than restoring a small
model.
"""

import json
import os
from typing import Any

# Written by every version of Orbax that writes OCDBT, and read by all since.
_FILE = "_METADATA"


def read(folder: str | os.PathLike[str], part: str) -> dict[str, Any]:
  """Returns the structure below one key, `part`, of a checkpoint's tree.

  Returns:
    Nested dicts; each leaf is the path of an array, such as "text/norm/bias".

  Raises:
    ValueError: if the file is not as Orbax writes it, naming it.
    OSError: if there is none.
  """
  path = os.path.join(folder, _FILE)
  tree: dict[str, Any] = {}
  with open(path, encoding="utf-8") as file:
    try:
      for entry in json.load(file)["tree_metadata"].values():
        root, *keys = (key["key"] for key in entry["key_metadata"])
        if root != part:
          continue
        inside = tree
        for parent in keys[:-1]:
          inside = inside.setdefault(parent, {})
        inside[keys[-1]] = "/".join(keys)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
      raise ValueError(
        f"{path}: expected the metadata of an Orbax checkpoint ({error!r})"
      ) from None
  return tree
