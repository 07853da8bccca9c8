r"""Starts a model from DeepKE's file.

python -m ifa_jax.convert deepke --checkpoint=best_model.pth --out=weights/d
"""

from absl import flags

from ifa_jax.convert import deepke, summary
from ifa_jax.files import whole
from ifa_jax.models.config import FUSIONS


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("checkpoint", None, "best_model.pth of DeepKE's run.py.")
  flags.DEFINE_string("out", None, "Folder for the converted weights.")
  flags.DEFINE_integer(
    "num_heads",
    12,
    "Attention heads of both streams, which the file does not give.",
    lower_bound=1,
  )
  flags.DEFINE_enum("fusion", "released", [*FUSIONS], "See models.config.")
  flags.mark_flags_as_required(("checkpoint", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  converted = deepke.convert(values.checkpoint, values.num_heads, values.fusion)
  summary.save_and_print(converted, values.out)
