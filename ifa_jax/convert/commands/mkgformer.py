r"""Converts a checkpoint of MKGformer's MRE code.

python -m ifa_jax.convert mkgformer --checkpoint=best_model.pth --out=weights/m
"""

from absl import flags

from ifa_jax.convert import successors, summary
from ifa_jax.convert.commands import hvformer
from ifa_jax.files import whole
from ifa_jax.models.successors.mkgformer import VARIANTS


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  hvformer.define_flags()
  flags.DEFINE_enum(
    "variant", "released", [*VARIANTS], "See models.successors.mkgformer."
  )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  converted = successors.convert_mkgformer(
    values.checkpoint, values.num_heads, values.variant
  )
  summary.save_and_print(converted, values.out)
