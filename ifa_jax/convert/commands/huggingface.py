r"""Starts a model from encoders of transformers.

    python -m ifa_jax.convert huggingface --text=bert-base-uncased \
        --vision=openai/clip-vit-base-patch32 --out=weights/clip

Either encoder may be omitted; it is then randomly initialised.
"""

from absl import flags

from ifa_jax.cli import app, settings_flags
from ifa_jax.convert import summary
from ifa_jax.convert.huggingface import conversion
from ifa_jax.files import whole

_ENCODERS = {
  "text": "BERT (model_type bert): a folder or hub id.",
  "vision": "CLIP (clip, clip_vision_model) or ViT (vit): a folder or hub id.",
  "rest": "rest.safetensors of an export, with its two encoders.",
}


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name, meaning in _ENCODERS.items():
    flags.DEFINE_string(name, None, meaning)
  flags.DEFINE_string(
    "out", None, "Folder for the converted weights.", required=True
  )
  settings_flags.define(conversion.Options)


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  encoders = (values[name].value for name in _ENCODERS)
  options = app.read_settings(conversion.Options)
  summary.save_and_print(conversion.convert(*encoders, options), values.out)
