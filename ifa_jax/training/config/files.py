"""Config files by path or, for those of the package, by name.

configs/mnre.py:tiny   a file and its variant
mnre:tiny              the same file, from the package
"""

import importlib.machinery
import inspect
import os
import pathlib
from types import ModuleType

import ifa_jax

_PACKAGE = pathlib.Path(ifa_jax.__file__).parent


def find(name: str) -> str:
  """Returns the path of one of the package's configs by its name.

  Paths of existing files, and unknown names, are returned unchanged.
  """
  return name if os.path.isfile(name) else _files().get(name, name)


def names() -> list[str]:
  """Returns the names of the package's configs."""
  return sorted(_files())


def _files() -> dict[str, str]:
  # A wheel has the configs inside the package, a checkout next to it.
  inside, outside = _PACKAGE / "configs", _PACKAGE.parent / "configs"
  files = (inside if inside.is_dir() else outside).glob("*.py")
  return {
    file.stem: str(file)
    for file in files
    if "def get_config" in file.read_text(encoding="utf-8")
  }


def check(path: str) -> None:
  """Raises ValueError if there is no such config file."""
  if not os.path.isfile(path) or not path.endswith(".py"):
    raise ValueError(
      "--config: expected a file such as configs/mnre.py or one of"
      f" {', '.join(names())}, got {path!r}"
    )


def load(path: str) -> ModuleType:
  """Runs a config file.

  Raises:
    ValueError: if there is no such file, or no `get_config` in it.
  """
  check(path)
  loader = importlib.machinery.SourceFileLoader("config_file", path)
  module = ModuleType(loader.name)
  module.__file__ = path
  loader.exec_module(module)
  if not hasattr(module, "get_config"):
    raise ValueError(f"{path}: expected a function get_config, got none")
  return module


def default_workdir(name: str) -> str:
  """Returns runs/<config>/<variant>, or runs/<config> without variants."""
  path, _, variant = name.partition(":")
  signature = inspect.signature(load(find(path)).get_config)
  for parameter in [*signature.parameters.values()][:1]:
    if not variant and isinstance(parameter.default, str):
      variant = parameter.default
  return os.path.join("runs", pathlib.Path(path).stem, variant).rstrip("/")
