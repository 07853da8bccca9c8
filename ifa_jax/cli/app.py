"""Runs commands. Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped.

A user's mistake is reported as one line on standard error.
"""

import dataclasses
import functools
import importlib
import io
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from absl import app, flags
from absl import logging as absl_logging

from ifa_jax.runtime import compilation_cache, platforms

if TYPE_CHECKING:
  from _typeshed import DataclassInstance

# Otherwise TensorFlow prints advice before any output of the command.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Otherwise transformers warns that PyTorch is missing, which most commands do
# not need.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

# The module name that ml_collections gives to the file of --config.
_CONFIG_MODULE = "config_config"

# How absl reports that flags are missing, and the message in its place.
_MISSING = (
  (
    r"flag --(?:\w+=None)?: Flag (--\w+) must have a value other than None\.",
    r"\1: expected a value, got none",
  ),
  (
    r"flags .*Exactly one of \((\w+), (\w+)\) must have a value other than"
    r" None\.",
    r"expected either --\1 or --\2",
  ),
)

Settings = TypeVar("Settings", bound="DataclassInstance")


def run(
  main: Callable[[Sequence[str]], int | None],
  takes_words: bool = False,
  compiles: bool = False,
) -> None:
  """Parses flags, runs a command's main function, and exits.

  Args:
    main: takes the program's name and the arguments that are not flags, and
      returns the exit status; None is 0.
    takes_words: whether arguments that are not flags are allowed.
    compiles: whether the command runs models; executables are then cached, see
      `runtime.compilation_cache`.
  """
  if isinstance(sys.stdout, io.TextIOWrapper):
    # Letters that the console cannot encode appear as "\xeb", as on stderr.
    sys.stdout.reconfigure(errors="backslashreplace")
  try:
    app.run(
      functools.partial(_run_main, main, compiles),
      flags_parser=functools.partial(_parse, takes_words=takes_words),
    )
  except KeyboardInterrupt:
    _fail("stopped", 128 + signal.SIGINT)
  except BrokenPipeError:
    # The reader of the output has closed it, so the exit must not flush more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


class Verb(NamedTuple):
  """A verb of a command.

  Attributes:
    module: within the command's package, see `run_module`.
    summary: one line for --help.
  """

  module: str
  summary: str


def run_verb(package: str, verbs: Mapping[str, Verb]) -> None:
  """Runs the module that the first argument names: `COMMAND VERB --flags`.

  Args:
    package: of the modules.
    verbs: by name. Only the module of the named one is imported.
  """
  name = sys.argv.pop(1) if len(sys.argv) > 1 else None
  if name in ("--help", "-h", "--helpfull"):
    print(f"usage: {os.path.basename(sys.argv[0])} VERB --flags\n\nVerbs:")
    width = max(map(len, verbs))
    for verb, (_, summary) in verbs.items():
      print(f"  {verb:<{width}}  {summary}")
    print("\nVERB --help describes a verb and its flags.")
    sys.exit(0)
  if name is None or name not in verbs:
    _fail(f"command: expected one of {', '.join(verbs)}, got {name!r}", 2)
  run_module(f"{package}.{verbs[name].module}")


def run_module(name: str) -> None:
  """Runs a module as a command.

  Args:
    name: of a module with `define_flags()` and `main(argv)`. `TAKES_WORDS` and
      `COMPILES` set the arguments of `run`; its docstring heads `--help`.
      "module:object" names an object of a module that has all these.
  """
  name, _, attribute = name.partition(":")
  module = importlib.import_module(name)
  module = getattr(module, attribute) if attribute else module
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
  """Returns a dataclass with the values of the flags of the same names."""
  names = [field.name for field in dataclasses.fields(settings)]
  return settings(**{name: flags.FLAGS[name].value for name in names})


def _parse(argv: Sequence[str], takes_words: bool) -> Sequence[str]:
  """Parses flags; exits with 2 for an invalid flag or an unexpected word."""
  try:
    rest = flags.FLAGS(argv)
  except SystemExit:
    # absl exits with 1 after --help.
    sys.exit(0)
  except (AttributeError, KeyError) as error:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(f.f_globals.get("__name__") == _CONFIG_MODULE for f in frames):
      # A bug in the config file, not a wrong flag.
      raise
    # ml_collections names only the missing part, not the flag.
    _fail(f"--config has no such setting: {_last_cause(error)}", 2)
  except (flags.Error, TypeError, ValueError) as error:
    message = _without_unset(_last_cause(error))
    _fail(f"{message} (--help lists the flags)", 2)
  if len(rest) > 1 and not takes_words:
    _fail(f"expected only flags (--name=value), got {rest[1]!r}", 2)
  return rest


def _run_main(main: Callable, compiles: bool, argv: Sequence[str]) -> Any:
  """Runs main; reports a user's mistake as one line, any other with a trace."""
  is_debugging = absl_logging.get_verbosity() >= absl_logging.DEBUG
  _show_log(is_debugging)
  if compiles:
    compilation_cache.keep_executables()
  try:
    return main(argv)
  except BrokenPipeError:
    raise
  except (RuntimeError, AssertionError) as error:
    if reason := platforms.failure(error):
      _fail(reason, 1)
    raise
  except (ValueError, OSError) as error:
    if is_debugging:
      raise
    # Our own messages may have several lines.
    is_ours = not isinstance(error, OSError)
    _fail(_message(error) if is_ours else _last_cause(error), 1)


def _show_log(is_debugging: bool) -> None:
  """Prints the log of this package as plain lines on standard error."""
  # Libraries report their progress in absl's log.
  if not is_debugging:
    absl_logging.set_verbosity(absl_logging.WARNING)
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter("%(message)s"))
  log = logging.getLogger("ifa_jax")
  log.addHandler(handler)
  log.setLevel(logging.INFO)
  log.propagate = False


def _without_unset(message: str) -> str:
  """Shortens absl's messages about missing flags and rules about several."""
  for pattern, replacement in _MISSING:
    message = re.sub(pattern, replacement, message)
  given = re.sub(r"\b\w+=None(, |(?=: ))", "", message)
  return given.replace(", : ", ": ", 1).removeprefix("flags : ")


def _last_cause(error: Exception) -> str:
  """Returns one line; messages of ml_collections contain whole tracebacks."""
  lines = [line.strip() for line in _message(error).splitlines()]
  lines = [line for line in lines if line]
  if any(line.startswith("Traceback") for line in lines):
    return lines[-1]
  return "; ".join(lines)


def _message(error: Exception) -> str:
  """Returns an error's message, without the quotes that KeyError adds."""
  if error.args and isinstance(error.args[0], Exception):
    return _message(error.args[0])
  if isinstance(error, KeyError) and error.args:
    return str(error.args[0])
  return str(error) or type(error).__name__


def _fail(message: str, status: int) -> NoReturn:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(status)
