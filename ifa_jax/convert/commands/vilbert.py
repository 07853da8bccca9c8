r"""Starts a model from ViLBERT's file.

python -m ifa_jax.convert vilbert --checkpoint=pytorch_model.bin --out=weights/v
"""

from absl import flags

from ifa_jax.cli import app
from ifa_jax.convert import summary, vilbert
from ifa_jax.convert.store import save_converted
from ifa_jax.files import whole


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  default = vilbert.Options()
  flags.DEFINE_string("checkpoint", None, "pytorch_model.bin of ViLBERT.")
  flags.DEFINE_string("out", None, "Folder for the converted weights.")
  for name, what in (
    ("num_heads", "Of the text stream; the file does not tell."),
    ("vision_heads", "Of the stream of regions."),
    ("connection_heads", "Of the layers between."),
    ("num_relations", "None included."),
  ):
    flags.DEFINE_integer(name, getattr(default, name), what, lower_bound=1)
  flags.DEFINE_integer("seed", default.seed, "Of what no checkpoint brings.")
  flags.mark_flags_as_required(("checkpoint", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  options = app.read_settings(vilbert.Options)
  converted = vilbert.convert(values.checkpoint, options)
  save_converted(
    values.out, converted.model_config, converted.params, converted.info
  )
  summary.print_converted(converted, values.out)
