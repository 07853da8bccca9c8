r"""Starts a model from encoders of transformers.

    python -m ifa_jax.convert huggingface --text=bert-base-uncased \
        --vision=openai/clip-vit-base-patch32 --out=weights/clip

Either encoder may be omitted; it is then randomly initialised.
"""

from absl import flags

from ifa_jax.cli import app
from ifa_jax.convert import summary
from ifa_jax.convert.huggingface import conversion
from ifa_jax.files import whole
from ifa_jax.models.config import FUSIONS


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = conversion.Options()
  string, integer = flags.DEFINE_string, flags.DEFINE_integer
  string("text", None, "BERT (model_type bert): a folder or hub id.")
  string(
    "vision",
    None,
    "CLIP (clip, clip_vision_model) or ViT (vit): a folder or hub id.",
  )
  string("rest", None, "rest.safetensors of an export, with its two encoders.")
  string("out", None, "Folder for the converted weights.")
  for side in ("vision", "text"):
    string(f"{side}_layers", None, f"first:N layers of the {side} encoder.")
  for name, help_text in (
    (
      "image_size",
      "Side of a picture in pixels. If it is not the encoder's, the position"
      " table is resized.",
    ),
    (
      "num_crops",
      "Slots for crops of each kind.",
    ),
    (
      "num_relations",
      "Number of relations, None included.",
    ),
  ):
    integer(name, getattr(default, name), help_text, lower_bound=1)
  flags.DEFINE_enum("fusion", default.fusion, [*FUSIONS], "See models.config.")
  integer("seed", default.seed, "Seed of initialised parameters.")
  flags.mark_flag_as_required("out")


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  options = app.read_settings(conversion.Options)
  converted = conversion.convert(
    values.text, values.vision, values.rest, options
  )
  summary.save_and_print(converted, values.out)
