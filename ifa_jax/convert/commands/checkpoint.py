"""The verbs that convert one file of weights."""

from collections.abc import Callable
from typing import Any

from absl import flags

from ifa_jax.cli import app, settings_flags
from ifa_jax.convert import deepke, successors, summary, vilbert
from ifa_jax.convert.store import Converted
from ifa_jax.files import whole


class Command:
  """A verb, in the form that `app.run_module` runs."""

  def __init__(
    self,
    doc: str,
    file: str,
    convert: Callable[[str, Any], Converted],
    options: type,
  ):
    """Makes a verb.

    Args:
      doc: the head of --help.
      file: the help of --checkpoint.
      convert: converts a file with options.
      options: the class of the options; each field is a flag.
    """
    self.__doc__ = doc
    self._file = file
    self._convert = convert
    self._options = options

  def define_flags(self) -> None:
    """Defines the flags; importing this module defines none."""
    string = flags.DEFINE_string
    string("checkpoint", None, self._file, required=True)
    string("out", None, "Folder for the converted weights.", required=True)
    settings_flags.define(self._options)

  def main(self, _) -> None:
    """Runs the command."""
    values = flags.FLAGS
    whole.check_free(values.out)
    options: Any = app.read_settings(self._options)
    converted = self._convert(values.checkpoint, options)
    summary.save_and_print(converted, values.out)


DEEPKE = Command(
  """Starts a model from DeepKE's file.

python -m ifa_jax.convert deepke --checkpoint=best_model.pth --out=weights/d
""",
  "best_model.pth of DeepKE's run.py.",
  deepke.convert,
  deepke.Options,
)
VILBERT = Command(
  """Starts a model from ViLBERT's file.

python -m ifa_jax.convert vilbert --checkpoint=pytorch_model.bin --out=weights/v
""",
  "pytorch_model.bin of ViLBERT.",
  vilbert.convert,
  vilbert.Options,
)
MKGFORMER = Command(
  """Converts a checkpoint of MKGformer's MRE code.

python -m ifa_jax.convert mkgformer --checkpoint=best_model.pth --out=weights/m
""",
  "A `.pth` state dict.",
  successors.convert_mkgformer,
  successors.MKGformerOptions,
)
HVFORMER = Command(
  """Converts a checkpoint of HVFormer's code.

python -m ifa_jax.convert hvformer --checkpoint=best_model.pth --out=weights/h
""",
  "A `.pth` state dict.",
  successors.convert_hvformer,
  successors.HVFormerOptions,
)
