"""Raw trees whose crops leak the label, and their contents."""

import json
import random

import raw_tree

RELATIONS = ("None", "/per/org/member_of", "/per/misc/awarded", "/misc/misc/of")
TYPES = ((), ("person", "organization"), ("person",), ())
SIZES = {"train": 160, "val": 60, "test": 80}


def labels(seed=0, sizes=SIZES):
  """Returns ids of relations; six of ten rows have none."""
  rng = random.Random(seed)
  return {
    split: rng.choices(range(4), [6, 2, 1, 1], k=size)
    for split, size in sizes.items()
  }


def write(folder, ids, crops=None, queries=None, **options):
  """Writes a raw tree.

  Args:
    folder: where.
    ids: split -> relation of each row.
    crops: (split, line from 0, relation) -> names of grounded crops.
    queries: the same -> query.
    **options: of `raw_tree.write_tree`.
  """
  rows = {
    split: [
      raw_tree.row(relation=RELATIONS[i], img_id=picture(split, line))
      for line, i in enumerate(relations)
    ]
    for split, relations in ids.items()
  }
  files = dict(options.pop("files", {}))
  for split, relations in ids.items():
    places = [(split, line, i) for line, i in enumerate(relations)]
    if crops:
      listed = {place[1]: crops(*place) for place in places}
      content = raw_tree.torch_pickle(listed)
      files[f"txt/mre_{split}_dict.pth"] = content
    if queries:
      asked = {str(place[1]): queries(*place) for place in places}
      content = json.dumps(asked).encode()
      files[f"txt/phrase_text_{split}.json"] = content
  return raw_tree.write_tree(
    folder, rows, files=files, **{"relations": RELATIONS, **options}
  )


def picture(split, line):
  """Returns the name of a row's picture; each row is a post of its own."""
  return f"{split}{line}.jpg"


def names(number):
  return [f"{i}.png" for i in range(number)]


def as_released(split, line, relation):
  """Two crops, and one for each type; now and then one is lost."""
  return names(2 + len(TYPES[relation]) - (line % 29 == 0))


def by_line(split, line, relation):
  return names(random.Random(f"{split}{line}").choice([1, 2, 3]))


def released_query(split, line, relation):
  return " ".join(["Bill Cosby Hollywood", *TYPES[relation]])


def tally(ids, split):
  """Returns (number of crops, has a relation) of each row, as generated."""
  return [
    (len(as_released(split, line, i)), i > 0) for line, i in enumerate(ids)
  ]
