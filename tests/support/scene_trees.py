"""Random scenes, folders of them, and rows that they belong to."""

from typing import NamedTuple

import numpy as np

from ifa_jax.data.scenes import store
from ifa_jax.data.scenes.store import Scene

MANIFEST = {
  "tool": "tests",
  "model": "random numbers",
  "revision": "1",
  "thresholds": {"object": 0.2, "relation": 0.1},
  "features": {"kind": "random"},
  "relations": "detector",
  "parser": "chain",
}
NAMES = ("person", "dog", "cup", "tree")
PREDICATES = ("on", "holding", "near")


class Encoded(NamedTuple):
  word_ids: list[int]


class Text(NamedTuple):
  id: str
  img_id: str
  words: list[str]
  encoded: Encoded


def row(line, img_id, num_words):
  """A row whose word 1 has two tokens, after the marker that is token 1."""
  words = sorted([*range(num_words), 1]) if num_words > 1 else [0]
  return Text(
    f"test/{line}",
    img_id,
    [f"w{i}" for i in range(num_words)],
    Encoded([-1, -1, *words, -1]),
  )


ROWS = [
  row(1, "a.jpg", 6),
  row(2, "b.jpg", 1),
  row(3, "a.jpg", 8),
  row(4, "many.jpg", 4),
]


def scene(rng, num_objects=4, feature_dim=6, num_edges=5, **changes) -> Scene:
  """Returns a scene with all its parts; `changes` replace some.

  Args:
    rng: a numpy Generator.
    num_objects: M.
    feature_dim: Dv.
    num_edges: E, none without objects.
    **changes: fields of the scene.
  """
  size = (640, 480)
  corners = np.sort(rng.integers(0, size, (num_objects, 2, 2)), axis=1)
  boxes = np.concatenate([corners[:, 0], corners[:, 1] + 1], axis=1)
  num_edges = num_edges if num_objects else 0
  parts = {
    "size": size,
    "boxes": boxes.astype(np.float32),
    "scores": np.sort(rng.random(num_objects, np.float32))[::-1],
    "labels": rng.choice(NAMES, num_objects).tolist(),
    "features": rng.normal(size=(num_objects, feature_dim)).astype(np.float16),
    "edges": rng.integers(0, max(num_objects, 1), (num_edges, 2)),
    "edge_labels": rng.choice(PREDICATES, num_edges).tolist(),
    "edge_scores": rng.random(num_edges, np.float32),
  }
  return Scene(**(parts | changes))


def heads(rng, num_words) -> list[int]:
  """Returns the heads of a random forest of words."""
  order = rng.permutation(num_words)
  found = [-1] * num_words
  for place in range(1, num_words):
    found[order[place]] = int(order[rng.integers(place)])
  return found


def write(folder, pictures, sentences=None, split="test", **manifest):
  """Writes a split with the usual manifest and returns it as it is read."""
  store.write_split(
    folder, split, pictures, sentences or {}, MANIFEST | manifest
  )
  return store.read_split(folder, split)
