"""The inputs that a run began with: its dataset, encoders, words and scenes.

`config.json` records the dataset and the encoders. Settings name word vectors
and scenes only by their path; `Inputs.files`, kept in the run's folder, shows
their content.
"""

import json
from collections.abc import Mapping
from typing import Any

from ifa_jax.runtime import collectives
from ifa_jax.training import experiment, pretrained
from ifa_jax.training.config import run_record
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.run_folder import SCENES_FILE, VOCABULARY_FILE, RunFolder

_SETTINGS = {
  SCENES_FILE: "data.scenes",
  VOCABULARY_FILE: "data.word_vectors or the texts",
}


def open_run(folder: RunFolder) -> Experiment:
  """Builds the experiment of a run, on the inputs that it began with.

  Raises:
    ValueError: as `experiment.build` and `check`.
  """
  built = experiment.build(run_record.read(folder), folder)
  check(built, folder)
  return built


def check(built: Experiment, folder: RunFolder) -> None:
  """Checks that a folder holds this very run, on the same inputs.

  Writes nothing.

  Raises:
    ValueError: on every process, if it holds another run, or none.
  """
  texts = built.data.inputs.files()

  def compare() -> None:
    run_record.check(folder, built.config, built.prepared.metadata)
    _compare(folder, texts)

  collectives.run_on_all(compare)


def keep(built: Experiment, folder: RunFolder) -> None:
  """Writes the files of `Inputs.files` that are missing; checks the others.

  With these, the run can predict posts without its dataset.

  Raises:
    ValueError: on every process, for files of other inputs. They are kept.
  """
  texts = built.data.inputs.files()

  def write_missing() -> None:
    for name, text in texts.items():
      if folder.read_text(name) is None:
        folder.write_text(name, text)

  collectives.run_on_first(write_missing)
  collectives.run_on_all(lambda: _compare(folder, texts))


def check_weights(built: Experiment, folder: RunFolder) -> None:
  """Checks that a run whose first update is still to come has its encoders.

  Raises:
    ValueError: on every process, if their files are not those of `config.json`.
  """
  weights = built.config.weights

  def compare() -> None:
    recorded = folder.read_record().get("pretrained")
    found = pretrained.record(weights)
    if not recorded or not found:
      return
    ours, theirs = (pretrained.files(x["sources"]) for x in (recorded, found))
    if ours != theirs:
      raise ValueError(
        f"{folder.file('config.json')}: expected the encoders that the run"
        f" began with, got other files of {weights}; restore them, or choose"
        " another --workdir"
      )

  collectives.run_on_all(compare)


def _compare(folder: RunFolder, texts: Mapping[str, str]) -> None:
  for name, text in texts.items():
    kept = folder.read_text(name)
    if kept is None or kept == text:
      continue
    if name == SCENES_FILE and _are_same_scenes(folder.read_json(name), text):
      continue
    raise ValueError(
      f"{folder.file(name)}: expected the inputs that the run began with, got"
      f" others from {_SETTINGS[name]}; restore them, or choose another"
      " --workdir"
    )


def _are_same_scenes(kept: Any, text: str) -> bool:
  """Compares the kept keys, which are fewer in runs of earlier versions."""
  if not isinstance(kept, Mapping):
    return False
  ours, theirs = _facts(json.loads(text)), _facts(kept)
  return all(key in ours and ours[key] == x for key, x in theirs.items())


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a manifest without the encoder's folder, which may have moved."""
  features = manifest.get("features")
  if not isinstance(features, Mapping):
    return dict(manifest)
  return {**manifest, "features": {**features, "folder": None}}
