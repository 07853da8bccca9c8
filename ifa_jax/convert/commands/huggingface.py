r"""Starts a model from encoders of transformers.

    python -m ifa_jax.convert huggingface --text=bert-base-uncased \
        --vision=openai/clip-vit-base-patch32 --out=weights/clip

Either may be left out: that stream then keeps its initialisation.
"""

from absl import flags

from ifa_jax.cli import app
from ifa_jax.convert import summary
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.store import save_converted
from ifa_jax.files import whole
from ifa_jax.models.config import FUSIONS


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = conversion.Options()
  string, integer = flags.DEFINE_string, flags.DEFINE_integer
  string("text", None, "BERT: a folder or hub id.")
  string("vision", None, "CLIP or ViT: a folder or hub id.")
  string("rest", None, "rest.safetensors of an export, with its two encoders.")
  string("out", None, "Folder for the converted weights.")
  for side in ("vision", "text"):
    string(f"{side}_layers", None, f"first:N layers of the {side} encoder.")
  integer(
    "image_size",
    None,
    "Pixels along a picture's side; another one than the encoder's resizes its"
    " position table.",
    lower_bound=1,
  )
  integer(
    "num_crops", default.num_crops, "Slots for crops of a kind.", lower_bound=1
  )
  integer(
    "num_relations", default.num_relations, "None included.", lower_bound=1
  )
  flags.DEFINE_enum("fusion", default.fusion, [*FUSIONS], "See models.config.")
  integer("seed", default.seed, "Of what no checkpoint brings.")
  flags.mark_flag_as_required("out")


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  options = app.read_settings(conversion.Options)
  converted = conversion.convert(
    values.text, values.vision, values.rest, options
  )
  save_converted(
    values.out,
    converted.model_config,
    converted.params,
    converted.info,
    converted.tokenizer,
  )
  summary.print_converted(converted, values.out)
