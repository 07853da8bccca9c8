"""A raw tree of three rows, the third without a picture, and its settings."""

import json
import pathlib

import raw_tree

from ifa_jax.data import schema
from ifa_jax.preparation.mnre.plan import Settings

SIZES = {"image_size": 32, "patch_size": 8, "num_crops": 2, "num_workers": 1}
ROWS = [
  raw_tree.row(),
  raw_tree.row("Rome, where Bill lives", (2, 3), (0, 1), "b.jpg", "None"),
  raw_tree.row("in Hollywood", (0, 1), (1, 2), "gone.jpg"),
]
PICTURES = {
  "train/a.jpg": raw_tree.jpeg(60, 40, seed=1),
  "test/b.jpg": raw_tree.jpeg(30, 50, seed=2),
}
BOXES = {
  "a.jpg": [
    {"box": [0, 0, 20, 10.5], "score": 0.9, "phrase": "Bill Cosby"},
    {"box": [5, 5, 50, 40], "score": 0.2},
    {"box": [1, 1, 9, 9], "score": 0.4},
    {"box": [2, 2, 9, 9], "score": 0.3},
  ],
  "gone.jpg": [{"box": [0, 0, 9, 9], "score": 1}],
}


def write(folder, tokenizer):
  """Writes tree and boxes; returns a function from changes to `Settings`."""
  raw_dir = raw_tree.write_tree(folder / "raw", ROWS, PICTURES)
  (folder / "boxes.json").write_text(json.dumps(BOXES))
  values = {
    "raw_dir": raw_dir,
    "data_dir": str(folder / "out"),
    "tokenizer": tokenizer,
    "protocol": "none",
    "missing_pixels": "absent",
    **SIZES,
  }
  return lambda **changes: Settings(**values | changes)


def add_dictionaries(raw_dir):
  """Writes the released lists of crops; only y.jpg of train has a file."""
  listed = {0: ["x.jpg", "y.jpg", "z.jpg"], 1: ["v.jpg"], 2: []}
  folder = pathlib.Path(raw_dir)
  for split in schema.SPLITS:
    path = folder / "txt" / f"mre_{split}_dict.pth"
    path.write_bytes(raw_tree.torch_pickle(listed))
  (folder / "img_vg/train/crops").mkdir(parents=True)
  (folder / "img_vg/train/crops/y.jpg").write_bytes(raw_tree.jpeg(9, 9, 3))


def read_records(prepared, split="train"):
  """Returns TFDS's description of a dataset, and the records of a split."""
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(prepared.folder)
  return builder.info, list(tfds.as_numpy(builder.as_dataset(split=split)))
