"""The verbs that convert weights to a folder."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from ifa_jax.cli import app, settings_flags
from ifa_jax.convert import deepke, successors, summary, vilbert
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.store import Converted
from ifa_jax.files import whole


@dataclasses.dataclass
class Converter:
  """A verb, in the form that `app.run_module` runs."""

  doc: str  # The head of --help.
  files: Mapping[str, str]  # Flag -> help; a single one is required.
  convert: Callable[..., Converted]  # Takes the files and the options.
  options: type  # The class of the options; each field is a flag.

  def __post_init__(self):
    """Puts `doc` where `app.run_module` reads it."""
    self.__doc__ = self.doc

  def define_flags(self) -> None:
    """Defines the flags; importing this module defines none."""
    string, is_single = flags.DEFINE_string, len(self.files) == 1
    for name, meaning in self.files.items():
      string(name, None, meaning, required=is_single)
    string("out", None, "Folder for the converted weights.", required=True)
    settings_flags.define(self.options)

  def main(self, _) -> None:
    """Runs the command."""
    values = flags.FLAGS
    whole.check_free(values.out)
    files = [values[name].value for name in self.files]
    options: Any = app.read_settings(self.options)
    summary.save_and_print(self.convert(*files, options), values.out)


HUGGINGFACE = Converter(
  r"""Starts a model from encoders of transformers.

    python -m ifa_jax.convert huggingface --text=bert-base-uncased \
        --vision=openai/clip-vit-base-patch32 --out=weights/clip

Either encoder may be omitted; it is then randomly initialised.
""",
  {
    "text": "BERT (model_type bert): a folder or hub id.",
    "vision": "CLIP (clip, clip_vision_model), ViT (vit) or DINOv2 (dinov2): a"
    " folder or hub id, or the ONNX file of a DINOv2.",
    "rest": "rest.safetensors of an export, with its two encoders.",
  },
  conversion.convert,
  conversion.Options,
)
DEEPKE = Converter(
  """Starts a model from DeepKE's file.

python -m ifa_jax.convert deepke --checkpoint=best_model.pth --out=weights/d
""",
  {"checkpoint": "best_model.pth of DeepKE's run.py."},
  deepke.convert,
  deepke.Options,
)
VILBERT = Converter(
  """Starts a model from ViLBERT's file.

python -m ifa_jax.convert vilbert --checkpoint=pytorch_model.bin --out=weights/v
""",
  {"checkpoint": "pytorch_model.bin of ViLBERT."},
  vilbert.convert,
  vilbert.Options,
)
MKGFORMER = Converter(
  """Converts a checkpoint of MKGformer's MRE code.

python -m ifa_jax.convert mkgformer --checkpoint=best_model.pth --out=weights/m
""",
  {"checkpoint": "A `.pth` state dict."},
  successors.convert_mkgformer,
  successors.MKGformerOptions,
)
HVFORMER = Converter(
  """Converts a checkpoint of HVFormer's code.

python -m ifa_jax.convert hvformer --checkpoint=best_model.pth --out=weights/h
""",
  {"checkpoint": "A `.pth` state dict."},
  successors.convert_hvformer,
  deepke.Heads,
)
