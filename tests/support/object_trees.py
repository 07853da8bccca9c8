"""Small trees of MORE and UMRE, made on the spot."""

import json
import pathlib

import raw_tree

RELATIONS = ("none", "/per/per/self", "/per/misc/awarded")
MORE_SPLITS = {"train": "train", "val": "valid", "test": "test"}
# (centre x, centre y, width, height) in fractions, and the same in corners.
MORE_OBJECTS = {
  "[OBJ0]": (0.25, 0.5, 0.5, 0.5),
  "[OBJ1]": (0.75, 0.25, 0.25, 0.5),
  "[OBJ2]": (0.0158, 0.625, 0.0317, 0.395),
}
UMRE_OBJECTS = {
  "[OBJ0]": [0.0, 0.25, 0.5, 0.75],
  "[OBJ1]": [0.625, 0.0, 0.875, 0.5],
  "[OBJ2]": [0.0, 0.4275, 0.0317, 0.8225],
}
WORDS = ("Ann", "Lee", "joins", "Acme")
ANN = {"name": "Ann Lee", "pos": [0, 2]}
ACME = {"name": "Acme", "pos": [3, 4]}


def thing(number):
  """Returns an object as a head or tail."""
  return {"name": f"[OBJ{number}]", "pos": [0.0, 0.25, 0.5, 0.75]}


def row(head=ANN, tail=None, relation=RELATIONS[1], img_id="a.jpg", **changes):
  """Returns a line as a dict; its tail is object 0 unless it is given."""
  found = {
    "token": [*WORDS],
    "h": head,
    "t": tail or thing(0),
    "img_id": img_id,
    "relation": relation,
  }
  return found | changes


def write_more(folder, rows, objects=None, pictures=()):
  """Writes MORE's files: rows and objects of one split, or by split."""
  files = {"rel2id.json": _ids()}
  for split, name in MORE_SPLITS.items():
    files[f"txt/{name}.txt"] = _lines(_of(rows, split))
    listed = raw_tree.torch_pickle(_of_pictures(objects, MORE_OBJECTS))
    files[f"ent_{name}_dict.pth"] = listed
  for name, content in dict(pictures).items():
    files[f"img_org/train/{name}"] = content
  return _write(folder, files)


def write_umre(folder, rows, objects=None, pictures=()):
  """Writes a tree of UMRE, in the same way."""
  files = {"rel2id_umke_partner.json": _ids()}
  for split in MORE_SPLITS:
    files[f"umke_partner/{split}_set.json"] = _lines(_of(rows, split))
  listed = json.dumps(_of_pictures(objects, UMRE_OBJECTS))
  files["umke_partner/pos_umke.json"] = listed.encode()
  for name, content in dict(pictures).items():
    files[f"UMKE_IMG/{name}"] = content
  return _write(folder, files)


def _of(rows, split):
  return rows[split] if isinstance(rows, dict) else rows


def _of_pictures(objects, default):
  return {"a.jpg": default} if objects is None else objects


def _ids():
  return json.dumps({name: i for i, name in enumerate(RELATIONS)}).encode()


def _lines(rows):
  return "".join(f"{line!r}\n" for line in rows).encode()


def _write(folder, files):
  for path, content in files.items():
    place = pathlib.Path(folder) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
  return str(folder)
