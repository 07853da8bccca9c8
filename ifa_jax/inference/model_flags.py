"""Flags for a trained model and for the boxes of pictures."""

import functools
from typing import TYPE_CHECKING, Any

from absl import flags

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder
  from ifa_jax.inference.predictor import Predictor

# --help lists these as flags of the module that runs.
flags.disclaim_key_flags()


def define_flags() -> None:
  """Defines `--workdir` or `--model`, and the sources of boxes."""
  string = flags.DEFINE_string
  string("workdir", None, "Folder of a finished run, or of a shared model.")
  string("model", None, "Shared model: a folder, or user/name on the hub.")
  flags.mark_flags_as_mutual_exclusive(["workdir", "model"], required=True)
  string("boxes", None, "Boxes file that lists pictures by file name.")
  string("detector", None, "Object detector: hub id or folder.")
  string(
    "grounder", None, "Detector of head and tail by name: hub id or folder."
  )


def load(values: Any) -> "Predictor":
  """Returns the predictor, with a finder of objects if flags name one.

  No finder is loaded for a run that was trained without objects.

  Raises:
    ValueError: if there is no such model, or it is damaged.
  """
  # Importing it takes seconds; mistakes in flags are reported before.
  from ifa_jax.inference.predictor import Predictor

  if values.model is not None:
    predictor = Predictor.from_pretrained(values.model)
  else:
    predictor = Predictor(values.workdir)
  if values.detector or values.grounder:
    predictor.find_with(functools.partial(_load_finder, values))
  return predictor


def _load_finder(values: Any) -> "ObjectFinder":
  from ifa_jax.detection.finder import ObjectFinder

  return ObjectFinder(values.detector, values.grounder)
