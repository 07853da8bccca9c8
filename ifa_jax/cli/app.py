"""How every command of the project ends: 0 done, 1 failed, 2 wrong usage.

A mistake of the user's gets one clear line on standard error.
"""

import dataclasses
import functools
import importlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from absl import app, flags
from absl import logging as absl_logging

from ifa_jax.runtime import compilation_cache, platforms

if TYPE_CHECKING:
  from _typeshed import DataclassInstance

# Else TensorFlow's advice would be the first thing that a command prints.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# transformers would say that PyTorch is missing; what needs it says so itself.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

# As ml_collections names the file of the flag --config.
_CONFIG_MODULE = "config_config"

Settings = TypeVar("Settings", bound="DataclassInstance")


def run(
  main: Callable[[Sequence[str]], int | None],
  takes_words: bool = False,
  compiles: bool = False,
) -> None:
  """Parses flags, runs a command's main function, and exits.

  Args:
    main: takes the arguments that are no flags, with the program's name first,
      and returns the exit status; None is 0.
    takes_words: whether there may be such arguments.
    compiles: whether it runs models; what JAX compiles is then kept for the
      next start, see `runtime.compilation_cache`.
  """
  parse = functools.partial(_parse, takes_words=takes_words)
  if isinstance(sys.stdout, io.TextIOWrapper):
    # A console without the letters of a name shows "\xeb", as stderr does.
    sys.stdout.reconfigure(errors="backslashreplace")
  try:
    app.run(_reporting(main, compiles), flags_parser=parse)
  except KeyboardInterrupt:
    _fail("stopped", 1)
  except BrokenPipeError:
    # Whoever read the output has enough of it; the exit must not flush more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def run_verb(package: str, verbs: Mapping[str, str]) -> None:
  """Runs the module that the first argument names: `COMMAND VERB --flags`.

  Args:
    package: the package of the modules.
    verbs: name -> module, see `run_module`. Only the one that runs is imported.
  """
  name = sys.argv.pop(1) if len(sys.argv) > 1 else None
  if name in ("--help", "-h", "--helpfull"):
    print(f"usage: {os.path.basename(sys.argv[0])} VERB --flags\n\nVerbs:")
    print(*(f"  {verb}" for verb in verbs), sep="\n")
    print("\nVERB --help describes a verb and its flags.")
    sys.exit(0)
  if name is None or name not in verbs:
    _fail(f"want one of {', '.join(verbs)} first, found {name!r}", 2)
  run_module(f"{package}.{verbs[name]}")


def run_module(name: str) -> None:
  """Runs a module as a command.

  Args:
    name: of a module with `define_flags()` and `main(argv)`, and with
      `TAKES_WORDS = True` if it takes arguments that are not flags, and
      `COMPILES = True` if it runs models. Its docstring heads `--help`.
  """
  module = importlib.import_module(name)
  module.define_flags()
  # --help prints the docstring and the flags of the main module, which absl
  # knows by the program's name.
  sys.modules["__main__"].__doc__ = module.__doc__
  for flag in flags.FLAGS.get_key_flags_for_module(name):
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
  run(
    module.main,
    takes_words=getattr(module, "TAKES_WORDS", False),
    compiles=getattr(module, "COMPILES", False),
  )


def read_settings(settings: type[Settings]) -> Settings:
  """Returns a dataclass whose fields have the values of the flags so named."""
  names = [field.name for field in dataclasses.fields(settings)]
  return settings(**{name: flags.FLAGS[name].value for name in names})


def _parse(argv: Sequence[str], takes_words: bool) -> Sequence[str]:
  """Parses flags; a wrong one, or a word out of place, is wrong usage."""
  try:
    rest = flags.FLAGS(argv)
  except SystemExit:
    # absl exits with 1 when it has printed --help.
    sys.exit(0)
  # ml_collections names no flag here, only the part that it did not find.
  except (AttributeError, KeyError) as error:
    if _is_of_config_file(error):
      raise
    _fail(f"--config has no such setting: {_last_cause(error)}", 2)
  except (flags.Error, TypeError, ValueError) as error:
    _fail(f"{_last_cause(error)} (--help lists the flags)", 2)
  if len(rest) > 1 and not takes_words:
    _fail(f"want flags only (--name=value), found {rest[1]!r}", 2)
  return rest


def _is_of_config_file(error: Exception) -> bool:
  """Returns whether the code of a config file raised an error."""
  frames = traceback.walk_tb(error.__traceback__)
  return any(
    frame.f_globals.get("__name__") == _CONFIG_MODULE for frame, _ in frames
  )


def _reporting(main: Callable, compiles: bool) -> Callable:
  """Returns main with a user's mistakes turned into one line."""

  def reporting(argv):
    _show_progress()
    if compiles:
      compilation_cache.keep_executables()
    try:
      return main(argv)
    except BrokenPipeError:
      raise
    except (RuntimeError, AssertionError):
      if reason := platforms.failure():
        _fail(reason, 1)
      raise
    except (ValueError, OSError) as error:
      if absl_logging.get_verbosity() >= absl_logging.DEBUG:
        raise
      ours = not isinstance(error, OSError)
      _fail(_message(error) if ours else _last_cause(error), 1)

  return reporting


def _show_progress() -> None:
  """Sends this package's log to standard error, as plain lines."""
  # Libraries tell their progress in absl's log.
  if absl_logging.get_verbosity() < absl_logging.DEBUG:
    absl_logging.set_verbosity(absl_logging.WARNING)
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter("%(message)s"))
  log = logging.getLogger("ifa_jax")
  log.addHandler(handler)
  log.setLevel(logging.INFO)
  log.propagate = False


def _last_cause(error: Exception) -> str:
  """Returns one line; ml_collections puts whole tracebacks into messages."""
  lines = [line.strip() for line in _message(error).splitlines()]
  lines = [line for line in lines if line]
  if any(line.startswith("Traceback") for line in lines):
    return lines[-1]
  return "; ".join(lines)


def _message(error: Exception) -> str:
  """Returns an error's message; that of a KeyError would come in quotes."""
  if error.args and isinstance(error.args[0], Exception):
    return _message(error.args[0])
  if isinstance(error, KeyError) and error.args:
    return str(error.args[0])
  return str(error) or type(error).__name__


def _fail(message: str, status: int) -> NoReturn:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(status)
