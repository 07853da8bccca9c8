"""Follows real calls of a tiny run: the files on four chains, by function.

    python tests/support/chains.py            prints JSON
    python tests/support/chains.py --write    writes docs/architecture.md, too

A file is on a chain if one of its functions is called between the chain's start
and its end, be it while JAX traces. Imports do not count, nor does code of
other packages.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile
import threading

if __name__ == "__main__":
  os.environ["JAX_PLATFORMS"] = "cpu"
  sys.path.insert(0, str(pathlib.Path(__file__).parents[0]))
  sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import tiny_run

from configs import quickstart
from ifa_jax import models
from ifa_jax.analyze.shuffle import command as shuffle
from ifa_jax.inference.predictor import Predictor
from ifa_jax.preparation.mnre import prepare
from ifa_jax.preparation.quickstart import command
from ifa_jax.training import loop
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.initialize import Start
from ifa_jax.workdir.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
# Functions of a file that the document names.
_MOST_NAMED = 3


@contextlib.contextmanager
def follow():
  """Gives file -> names of its functions that are called inside."""
  found = collections.defaultdict(dict)

  def note(frame, event, _):
    code = frame.f_code
    path = pathlib.PurePath(code.co_filename)
    if event != "call" or not path.is_relative_to(ROOT):
      return
    file = path.relative_to(ROOT)
    if file.parts[0] in ("configs", "ifa_jax") and code.co_name[0] != "<":
      name = code.co_qualname.split(".<locals>")[0]
      found[file.as_posix()][name] = None

  threading.setprofile(note)
  sys.setprofile(note)
  try:
    yield found
  finally:
    sys.setprofile(None)
    threading.setprofile(None)


def make_data(folder):
  """Makes a dataset; returns its folder, and a post with a picture."""
  raw = folder / "raw"
  command.generate(raw, tiny_run.NUM_ROWS)
  settings = tiny_run.dataset_settings(raw, folder / "data")
  prepare.prepare(settings)
  image = min((raw / "img_org" / "test").iterdir())
  boxes = json.loads((raw / "boxes.json").read_text())[image.name]
  post = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme"}
  return settings.data_dir, post | {"image": str(image), "boxes": boxes}


def follow_config():
  """From a config file to the model; the device decides nothing."""
  with follow() as found:
    config = quickstart.get_config()
    config.model.dtype = "float32"
    models.build(RunConfig.from_dict(config.to_dict()).model)
  return found


def follow_training(data_dir, folder):
  """From a record of open shards to the parameters after the first update."""
  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  start = Start(built)
  trainer = loop.Trainer(built, RunFolder(folder), None, start)
  state = start.fresh()
  with follow() as found:
    rows = built.epochs.rows_left(0, 0)
    for _, batch in built.parallel.ahead(built.training_batches(rows)):
      trainer._step(state, batch)
      break
  return found


def follow_inference(workdir, post):
  """From a post to its relation, by a model that is loaded."""
  predictor = Predictor(workdir)
  with follow() as found:
    predictor.predict(post)
  return found


def follow_shuffle(built, workdir):
  """From a run to the rows of Table 1."""
  with follow() as found:
    shuffle.shuffle_table(built, RunFolder(workdir))
  return found


def follow_all(data_dir, workdir, post, folder):
  """Returns chain -> file -> functions called, in the order of first calls.

  Args:
    data_dir: of a prepared dataset.
    workdir: of a finished run on it.
    post: as `Predictor.predict` takes it, with a picture and boxes.
    folder: an empty one.
  """
  training = follow_training(data_dir, folder)
  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  table = follow_shuffle(built, workdir)
  found = {
    "training": training,
    "inference": follow_inference(workdir, post),
    "shuffle": {k: v for k, v in table.items() if k not in training},
    "config": follow_config(),
  }
  return {
    chain: {file: [*names] for file, names in files.items()}
    for chain, files in found.items()
  }


def document(found):
  """Returns the document with the chains' tables, each between two comments."""
  text = DOCUMENT.read_text()
  for chain, files in found.items():
    rows = [
      f"| `{file}` | {', '.join(f'`{x}`' for x in names[:_MOST_NAMED])} |"
      for file, names in files.items()
    ]
    table = "\n".join(["| file | functions |", "| --- | --- |", *rows])
    start, end = f"<!-- chain: {chain} -->", f"<!-- end: {chain} -->"
    part = f"{start}\n{len(files)} files.\n\n{table}\n{end}"
    text, count = re.subn(
      f"{start}.*?{end}", lambda _, part=part: part, text, flags=re.DOTALL
    )
    assert count == 1, f"{DOCUMENT}: expected {start} ... {end} once"
  return text


def main():
  """Trains a run and follows it."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    data_dir, post = make_data(folder)
    config = tiny_run.tiny_run_config(data_dir, train={"max_steps": 1})
    with contextlib.redirect_stdout(sys.stderr):
      loop.run(tiny_run.build(config), str(folder / "run"))
    workdir, empty = str(folder / "run"), str(folder / "step")
    found = follow_all(data_dir, workdir, post, empty)
  if "--write" in sys.argv:
    DOCUMENT.write_text(document(found))
  print(json.dumps(found, indent=2))


if __name__ == "__main__":
  main()
