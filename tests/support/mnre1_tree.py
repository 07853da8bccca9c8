"""A generated tree of MNRE-1: texts and graphs."""

import json

import numpy as np
import raw_tree

from ifa_jax.data import schema

IMAGES = {
  "a.jpg": {"rel": [[0, 5], [1, 5], [5, 1]]},
  "none.jpg": {"rel": []},
}
# Text, picture, word edges by sentence, and the words that the parser counted.
ROWS = [
  ("Bill Cosby in Hollywood", "a.jpg", [[1, 0], [3, 2], [1, 3]], 4),
  # Two sentences; the picture's name has no ending.
  ("Bill sang . He left now", "a", [[1, 0], [1, 2], [1, 0], [1, 2]], 6),
  # Three parsed words for two; the governor of word 1 is the one too many.
  ("Bill sang", "a.jpg", [[2, 0], [2, 1]], 3),
  # Two parsed words for four, and no object edge.
  ("Bill sang all day", "none.jpg", [[1, 0]], 2),
  # A sentence of one word, somewhere.
  ("Bill sang . !", "a.jpg", [[1, 0], [1, 2]], 4),
]


def write_tree(folder, images=IMAGES, **changed_lines):
  """Writes texts and graphs; `line_2={...}` replaces a line of the edges."""
  folder.mkdir(exist_ok=True)
  texts, lines = [], []
  for index, (text, img_id, words, num_parsed) in enumerate(ROWS):
    row = raw_tree.row(
      text, head=(0, 1), tail=(1, 2), img_id=img_id, relation="none"
    )
    texts.append(f"{row!r}\n")
    name = img_id if "." in img_id else f"{img_id}.jpg"
    objects = np.array(IMAGES[name]["rel"], int) + num_parsed
    entry = {"index": index, "edges": words + objects.tolist()}
    lines.append(json.dumps(changed_lines.get(f"line_{index + 1}", entry)))
  for split in schema.SPLITS:
    contents = {
      f"ours_{split}.txt": "".join(texts),
      f"graph_of_image_{split}.json": json.dumps(images),
      f"combined_graph_edges_{split}.jsonl": "\n".join(lines) + "\n",
    }
    for name, content in contents.items():
      (folder / name).write_text(content, encoding="utf-8")
  return folder
