r"""Starts a model from ViLBERT's file.

python -m ifa_jax.convert vilbert --checkpoint=pytorch_model.bin --out=weights/v
"""

from absl import flags

from ifa_jax.cli import app
from ifa_jax.convert import summary, vilbert
from ifa_jax.files import whole


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = vilbert.Options()
  flags.DEFINE_string("checkpoint", None, "pytorch_model.bin of ViLBERT.")
  flags.DEFINE_string("out", None, "Folder for the converted weights.")
  for name, help_text in (
    ("num_heads", "Attention heads of the text stream, not given by the file."),
    ("vision_heads", "Attention heads of the region stream."),
    ("connection_heads", "Attention heads of the co-attention layers."),
    ("num_relations", "Number of relations, None included."),
  ):
    flags.DEFINE_integer(name, getattr(default, name), help_text, lower_bound=1)
  flags.DEFINE_integer("seed", default.seed, "Seed of initialised parameters.")
  flags.mark_flags_as_required(("checkpoint", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  converted = vilbert.convert(
    values.checkpoint, app.read_settings(vilbert.Options)
  )
  summary.save_and_print(converted, values.out)
