"""Metadata of a prepared dataset for the tiny model."""

import json

import tiny_run

from ifa_jax.data import schema

SHA = "5" * 64
OTHER = "6" * 64
# Metadata of a dataset for the tiny model, as `data_prep.mnre` writes it.
METADATA = {
  "format_version": schema.FORMAT_VERSION,
  "protocol": "clean",
  "text_len": 40,
  "relations": ["None", *(f"/r/{i}" for i in range(1, 10))],
  "tokenizer": {"name": "made_up", "vocab_size": 813, "sha256": SHA},
  **tiny_run.GEOMETRY,
}


def write_dataset(folder, metadata):
  """Writes a dataset's description, without records."""
  folder.mkdir(parents=True)
  lengths = {"train": "40", "val": "13", "test": "17"}
  info = {
    "splits": [{"name": n, "shardLengths": [x]} for n, x in lengths.items()]
  }
  (folder / "metadata.json").write_text(json.dumps(metadata))
  (folder / "dataset_info.json").write_text(json.dumps(info))
