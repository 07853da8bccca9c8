"""The config.json of a shared folder."""

import os
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.inference.sharing import prediction_settings
from ifa_jax.inference.sharing.prediction_settings import (
  Expected,
  PredictionSettings,
  is_object,
)
from ifa_jax.workdir.run_folder import RunFolder

FILE = "config.json"
LIBRARY = "ifa_jax"
# Incremented when a file of a shared folder changes its meaning.
FORMAT_VERSION = 1


class Record(NamedTuple):
  """The settings and the history of a shared model.

  Attributes:
    settings: of prediction.
    step: of the checkpoint.
    training: `command`, `start`, `config`, `dataset`, `versions` and
      `git_commit` from the run's own config.json; absolute paths are cut to
      their last part.
    license: identifier of the license, or None.
    dataset: name of the training data, or None.
    scores: split -> scores, see `scores.of_run`.
  """

  settings: PredictionSettings
  step: int
  training: dict[str, Any]
  license: str | None
  dataset: str | None
  scores: dict[str, Any]


def write(folder: str | os.PathLike, record: Record) -> None:
  """Writes config.json."""
  value = {
    "library_name": LIBRARY,
    "format_version": FORMAT_VERSION,
    "step": record.step,
    **record.settings.to_dict(),
    "license": record.license,
    "dataset": record.dataset,
    "scores": record.scores,
    "training": record.training,
  }
  RunFolder(folder).write_json(FILE, value)


def read(folder: str | os.PathLike) -> Record:
  """Reads config.json.

  Raises:
    ValueError: if it is missing, not JSON or of another format, or if a key is
      missing or unknown.
  """
  path = os.path.join(folder, FILE)
  try:
    found = json_file.load(path)
  except OSError as error:
    raise ValueError(
      f"{path}: expected the settings of a shared model, got no file that can"
      f" be read ({error.strerror})"
    ) from None
  _check_format(found, path)
  own = {key: found.pop(key) for key in [*found] if key in _OWN}
  prediction_settings.check(own, _OWN, path)
  settings = PredictionSettings.from_dict(found, path)
  kept = ("step", "training", "license", "dataset", "scores")
  return Record(settings, **{key: own[key] for key in kept})


def _check_format(found: Any, path: str) -> None:
  """Checked first: another format may have any keys."""
  if not is_object(found):
    raise ValueError(f"{path}: expected a JSON object, got {shown(found)}")
  for key, wanted in (
    ("library_name", LIBRARY),
    ("format_version", FORMAT_VERSION),
  ):
    if found.get(key) != wanted:
      raise ValueError(
        f"{path}: expected {key} {wanted!r}, got {shown(found.get(key))}"
      )


def _is_text_or_none(value: Any) -> bool:
  return value is None or isinstance(value, str)


_OWN: Expected = {
  "library_name": (LIBRARY, LIBRARY.__eq__),
  "format_version": (
    str(FORMAT_VERSION),
    lambda found: found == FORMAT_VERSION,
  ),
  "step": ("a step", lambda value: type(value) is int and value >= 0),
  "license": ("a text or null", _is_text_or_none),
  "dataset": ("a text or null", _is_text_or_none),
  "scores": ("an object", is_object),
  "training": ("an object", is_object),
}
