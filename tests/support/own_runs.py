"""Folders of runs that were never trained, of models that read regions."""

import json

import jax
import numpy as np

from ifa_jax.preparation.scenes import splits
from ifa_jax.training.config import run_record
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState

STEP = 7


def make_scenes(raw_dir, folder, encoder="pixels"):
  """Makes scenes of a tree's boxes file."""
  made = splits.Settings(
    raw_dir=str(raw_dir),
    out=str(folder),
    boxes=str(raw_dir / "boxes.json"),
    encoder=encoder,
    parser="chain",
  )
  splits.produce(made)
  return folder


def write(built, params, workdir):
  """Writes a run folder as after training, without its dataset."""
  folder = RunFolder(workdir)
  run_record.claim(folder, built.config, built.prepared.metadata)
  folder.copy(f"{built.prepared.folder}/tokenizer")
  for name, text in built.data.inputs.files().items():
    folder.write_text(name, text)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    state = TrainState(np.int32(STEP), jax.device_get(params), ())
    checkpoints.save(state, {"f1": 0.5})
  record = json.dumps(folder.read_record())
  gone = record.replace(json.dumps(built.config.data.data_dir), '"gone"')
  folder.write_text("config.json", gone)
  return workdir
