r"""Converts a checkpoint of HVFormer's code.

python -m ifa_jax.convert hvformer --checkpoint=best_model.pth --out=weights/h
"""

from absl import flags

from ifa_jax.convert import successors, summary
from ifa_jax.files import whole

# --help lists these as flags of the module that runs.
flags.disclaim_key_flags()


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("checkpoint", None, "A `.pth` state dict.")
  flags.DEFINE_string("out", None, "Folder for the converted weights.")
  flags.DEFINE_integer(
    "num_heads",
    12,
    "Attention heads of both streams, which the file does not give.",
    lower_bound=1,
  )
  flags.mark_flags_as_required(("checkpoint", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  converted = successors.convert_hvformer(values.checkpoint, values.num_heads)
  summary.save_and_print(converted, values.out)
