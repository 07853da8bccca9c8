"""The command `ifa-prepare VERB --flags`."""

from ifa_jax.cli import app

VERBS = {
  "mnre": "raw files of a dataset to TFRecord shards",
  "objects": "finds objects in the pictures of a dataset",
  "captions": "writes captions of the pictures of a dataset",
  "published_boxes": "writes a boxes file from published coordinates of crops",
  "scenes": "makes scene graphs of objects and their features",
  "mnre1_graphs": "reads the scene graphs published with MNRE-1",
  "quickstart": "generates a small dataset with drawn pictures",
}


def run() -> None:
  """Runs the command that the first argument names."""
  app.run_verb(
    "ifa_jax.preparation",
    {verb: app.Verb(f"{verb}.command", line) for verb, line in VERBS.items()},
  )


if __name__ == "__main__":
  run()
