"""Configs of the variants of one file, with settings that all of them share."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

from absl import flags
from ml_collections import config_dict, config_flags
from ml_collections.config_flags import config_path

from ifa_jax.analyze import published
from ifa_jax.training.config import files
from ifa_jax.training.config.run_config import RunConfig

_SEED = "seed"
_NAMED = re.compile(r"\s*[\w.]*=")


def load(path: str) -> ModuleType:
  """Loads a config file by its path or name.

  Raises:
    ValueError: if it is no file with `get_config` and `VARIANTS`.
  """
  module = files.load(files.find(path))
  if not hasattr(module, "VARIANTS"):
    raise ValueError(f"{path}: expected a config with VARIANTS, got none")
  return module


def choose(module: ModuleType, names: Sequence[str]) -> list[str]:
  """Returns the variants that become rows.

  Args:
    module: of the config file.
    names: of variants; none chooses those that stand for a row of Table 2, in
      its order.

  Raises:
    ValueError: for an unknown name or one that stands there twice, or if there
      is nothing to choose.
  """
  choices = ", ".join(module.VARIANTS)
  for name in names:
    if name not in module.VARIANTS:
      raise ValueError(f"--rows: want any of {choices}, found {name!r}")
    if names.count(name) > 1:
      raise ValueError(f"--rows: want every row once, found {name!r} again")
  known = [
    name
    for name, row in published.VARIANTS.items()
    if row.table == "Table 2" and name in module.VARIANTS
  ]
  if not names and not known:
    raise ValueError(
      f"{module.__file__}: no variant stands for a row of Table 2; choose"
      f" --rows from {choices}"
    )
  return [*names] or known


def parse(changes: Sequence[str]) -> dict[str, str]:
  """Reads "data.text_len=40" and the like: setting -> text of its value.

  Args:
    changes: as a flag splits them at commas. A part without a name belongs to
      the value before it: "data.text_buckets=(24", "32)".

  Raises:
    ValueError: for a word without a name or "=", a setting that stands there
      twice, or the seed.
  """
  found: dict[str, str] = {}
  for word in _join(changes):
    name, equals, text = word.partition("=")
    if not equals or not name:
      raise ValueError(f"--set: want setting=value, found {word!r}")
    if name in found:
      raise ValueError(f"--set: want every setting once, found {name} again")
    if name == _SEED:
      raise ValueError("--set: want seeds by --seeds, found seed")
    found[name] = text
  return found


def _join(parts: Sequence[str]) -> list[str]:
  """Puts together what a comma within a value has split."""
  words: list[str] = []
  for part in parts:
    is_open = words and words[-1].count("(") > words[-1].count(")")
    if words and (is_open or not _NAMED.match(part)):
      words[-1] += f",{part}"
    else:
      words.append(part)
  return words


def read(
  module: ModuleType, variant: str, changes: Mapping[str, str]
) -> RunConfig:
  """Returns a variant's config, as launch.py would read it.

  Args:
    module: of the config file.
    variant: one of its `VARIANTS`.
    changes: setting -> text, parsed by the type of the setting.

  Raises:
    ValueError: for a setting that the variant does not have, naming it and the
      nearest one, or a value of another type.
  """
  config = module.get_config(variant)
  for name, text in changes.items():
    _check_known(config, variant, name)
    _set(config, variant, name, text)
  return RunConfig.from_dict(config.to_dict())


def _check_known(
  config: config_dict.ConfigDict, variant: str, name: str
) -> None:
  known = [*_leaves(config)]
  if name not in known:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(
      f"--set: {variant} has no setting {name}{hint} (a value with a comma and"
      " an = wants double quotes: '\"weights=text=A,vision=B\"')"
    )


def _leaves(config: config_dict.ConfigDict, prefix: str = "") -> Iterator[str]:
  """Yields "data.text_len" and all others that hold a value."""
  for key, value in config.items():
    name = f"{prefix}{key}"
    if isinstance(value, config_dict.ConfigDict):
      yield from _leaves(value, f"{name}.")
    else:
      yield name


def _set(
  config: config_dict.ConfigDict, variant: str, name: str, text: str
) -> None:
  """Sets a value by the flag that launch.py has for it."""
  values, argv = flags.FlagValues(), ["table2", f"--config.{name}={text}"]
  try:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=argv
    )
    values(argv)
  except (flags.Error, TypeError, ValueError):
    kind = config_path.get_type(name, config).__name__
    raise ValueError(
      f"--set: {variant} wants {name} as {kind}, found {text!r}"
    ) from None
