"""Configs of the variants of one file, with shared settings."""

import difflib
import re
from collections.abc import Mapping, Sequence
from types import ModuleType

from absl import flags
from flax import traverse_util
from ml_collections import config_flags
from ml_collections.config_flags import config_path

from ifa_jax.analyze import published
from ifa_jax.training.config import files
from ifa_jax.training.config.run_config import RunConfig

_NAMED = re.compile(r"\s*[\w.]*=")


def load(path: str) -> ModuleType:
  """Loads a config file by its path or name.

  Raises:
    ValueError: for a file without `get_config` or `VARIANTS`.
  """
  module = files.load(files.find(path))
  if not hasattr(module, "VARIANTS"):
    raise ValueError(f"{path}: expected a config with VARIANTS, got none")
  return module


def choose(module: ModuleType, names: Sequence[str], table: str) -> list[str]:
  """Returns the variants of a config file that become rows: those named.

  Without names, the rows of a table of the paper, in its order; later systems
  read other scenes.

  Raises:
    ValueError: for an unknown or repeated name, or if there is no row.
  """
  choices = ", ".join(module.VARIANTS)
  for name in names:
    if name not in module.VARIANTS:
      raise ValueError(f"--rows: expected any of {choices}, got {name!r}")
    if names.count(name) > 1:
      raise ValueError(f"--rows: expected every row once, got {name!r} again")
  known = [x for x in published.of_table(table) if x in module.VARIANTS]
  if not names and not known:
    raise ValueError(
      f"{module.__file__}: no variant is a row of {table}; choose --rows from"
      f" {choices}"
    )
  return [*names] or known


def parse(changes: Sequence[str]) -> dict[str, str]:
  """Parses "data.text_len=40" and others: setting -> text of its value.

  Args:
    changes: as a flag splits them at commas. A part without a name belongs to
      the value before it: "data.text_buckets=(24", "32)".

  Raises:
    ValueError: for a word without a name or "=", a repeated setting, or the
      seed.
  """
  words: list[str] = []
  for part in changes:
    is_open = words and words[-1].count("(") > words[-1].count(")")
    if words and (is_open or not _NAMED.match(part)):
      words[-1] += f",{part}"
    else:
      words.append(part)
  found: dict[str, str] = {}
  for word in words:
    name, equals, text = word.partition("=")
    if not equals or not name:
      raise ValueError(f"--set: expected setting=value, got {word!r}")
    if name in found:
      raise ValueError(f"--set: expected every setting once, got {name} again")
    if name == "seed":
      raise ValueError("--set: expected seeds in --seeds, got seed")
    found[name] = text
  return found


def read(
  module: ModuleType, variant: str, changes: Mapping[str, str]
) -> RunConfig:
  """Returns a variant's config, as launch.py reads it, with `parse`d changes.

  Raises:
    ValueError: for a value of another type, or a setting that the variant does
      not have; suggests the nearest one.
  """
  config = module.get_config(variant)
  known = traverse_util.flatten_dict(config.to_dict(), sep=".")
  for name, text in changes.items():
    if name not in known:
      near = difflib.get_close_matches(name, known, n=1)
      hint = f"; did you mean {near[0]}?" if near else ""
      raise ValueError(
        f"--set: {variant} has no setting {name}{hint} (a value with a comma"
        " and an = needs double quotes: '\"weights=text=A,vision=B\"')"
      )
    # The flag that launch.py has for the setting parses its value.
    values, argv = flags.FlagValues(), ["table2", f"--config.{name}={text}"]
    try:
      config_flags.DEFINE_config_dict(
        "config", config, flag_values=values, sys_argv=argv
      )
      values(argv)
    except (flags.Error, TypeError, ValueError):
      kind = config_path.get_type(name, config).__name__
      raise ValueError(
        f"--set: {variant}: expected {name} as {kind}, got {text!r}"
      ) from None
  return RunConfig.from_dict(config.to_dict())
