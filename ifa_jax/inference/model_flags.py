"""Command-line flags that name the trained model of a command."""

from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder
  from ifa_jax.inference.predictor import Predictor

# Flags that are defined here are those of the module that runs.
flags.disclaim_key_flags()


def define_flags() -> None:
  """Defines `--workdir` and `--model`, of which exactly one has to be given."""
  flags.DEFINE_string(
    "workdir", None, "A finished run's folder, or a shared model's."
  )
  flags.DEFINE_string(
    "model", None, "A shared model: its folder, or user/name on the hub."
  )
  flags.mark_flags_as_mutual_exclusive(["workdir", "model"], required=True)


def load(
  values: flags.FlagValues, finder: "ObjectFinder | None" = None
) -> "Predictor":
  """Returns the predictor that the flags name.

  Args:
    values: parsed flags.
    finder: see `Predictor`.

  Raises:
    ValueError: if there is no such model, or it is damaged.
  """
  # Loading it takes seconds, and usage is checked before.
  from ifa_jax.inference.predictor import Predictor

  if values.model is not None:
    return Predictor.from_pretrained(values.model, finder)
  return Predictor(values.workdir, finder)
