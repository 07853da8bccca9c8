"""The flags of a table whose rows are trained: a config, rows and seeds."""

from collections.abc import Callable, Sequence
from types import ModuleType

from absl import flags

from ifa_jax.analyze.rows import configs, runs
from ifa_jax.analyze.rows.runs import Row

# --help lists these as flags of the module that runs.
flags.disclaim_key_flags()


def define() -> None:
  """Defines the flags."""
  flags.DEFINE_string("config", None, "A config file, without a variant.")
  flags.DEFINE_string("workdir", None, "The table's folder.")
  flags.DEFINE_list("rows", [], "Variants. Default: all rows of the table.")
  flags.DEFINE_list("seeds", ["1234"], "Seeds; every variant is run with each.")
  flags.DEFINE_list(
    "set",
    [],
    "setting=value for all variants, e.g. data.text_buckets=(40,48); in double"
    " quotes if the value has a comma and an =: '\"weights=text=A,vision=B\"'.",
  )
  flags.mark_flags_as_required(["config", "workdir"])
  flags.register_validator(
    "seeds", _are_seeds, "expected different whole numbers, e.g. 1,49,1234"
  )


def _are_seeds(seeds: Sequence[str]) -> bool:
  # "01" would be another name of 1.
  known = (seed.isdecimal() and seed == str(int(seed)) for seed in seeds)
  return bool(seeds) and all(known) and len({*seeds}) == len(seeds)


def plan(
  choose: Callable[[ModuleType], Sequence[str]],
) -> tuple[list[Row], dict[str, str]]:
  """Checks the runs of all rows before any of them is trained.

  Args:
    choose: returns the variants of a config file that become rows.

  Returns:
    The rows, and the settings of --set.

  Raises:
    ValueError: as `configs` and `runs.plan`.
  """
  values = flags.FLAGS
  module = configs.load(values.config)
  names = choose(module)
  changes = configs.parse(values.set)
  # Reads all configs before the first folder.
  found = {name: configs.read(module, name, changes) for name in names}
  seeds = [int(seed) for seed in values.seeds]
  rows = [
    runs.plan(name, config, seeds, values.workdir)
    for name, config in found.items()
  ]
  return rows, changes
