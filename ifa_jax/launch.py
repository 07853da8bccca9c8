r"""Trains, resumes or evaluates a run.

    python launch.py --config=configs/mnre.py[:variant] [--workdir=DIR] \
        [--raw_dir=DATA] [--config.section.setting=value ...]

A run that was interrupted resumes with the same command; one that is finished
reports its scores. --raw_dir prepares the dataset of the config first, if it is
not there. In several processes: docs/pods.md.
"""

import dataclasses
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from ifa_jax.runtime import malloc

malloc.keep_freed_memory()

# After it, since numpy and JAX start threads.
from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ifa_jax.cli import app  # noqa: E402
from ifa_jax.training.config import files  # noqa: E402

if TYPE_CHECKING:
  from ifa_jax.training.config.run_config import RunConfig
  from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

_log = logging.getLogger("ifa_jax")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  string, integer = flags.DEFINE_string, flags.DEFINE_integer
  config_flags.DEFINE_config_file(
    "config",
    None,
    "The run: FILE[:VARIANT], or NAME[:VARIANT] of "
    f"{', '.join(files.names())}.",
  )
  string(
    "workdir",
    None,
    "The run's folder; one that holds this run is resumed. Default:"
    " runs/<config>/<variant>.",
  )
  flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate"],
    "Train and score, or score a finished run again.",
  )
  flags.DEFINE_enum(
    "split", "test", ["dev", "test"], "The split that --mode=evaluate scores."
  )
  string("raw_dir", None, "A raw MNRE tree, to prepare the dataset from.")
  string("boxes", None, "With --raw_dir: boxes file, see data_prep.mnre.")
  flags.DEFINE_enum(
    "missing_pixels",
    "error",
    ("error", "absent", "grey"),
    "With --raw_dir: a picture or crop without a file is an error, left out, or"
    " grey.",
  )
  string(
    "coordinator_address",
    None,
    "HOST:PORT of process 0 of several. Default: JAX_COORDINATOR_ADDRESS.",
  )
  integer(
    "num_processes",
    None,
    "Number of processes of the run. Default: JAX_NUM_PROCESSES, or that of"
    " the cluster, or 1.",
    lower_bound=1,
  )
  integer(
    "process_id",
    None,
    "Number of this process, from 0. Default: JAX_PROCESS_ID.",
    lower_bound=0,
  )
  flags.register_multi_flags_validator(
    ["config", "mode", "workdir"],
    lambda values: (
      values["config"] is not None
      or (values["mode"] == "evaluate" and values["workdir"] is not None)
    ),
    "expected a config, e.g. --config=configs/mnre.py; only --mode=evaluate"
    " with --workdir does without",
  )
  # The flag's parser opens files; a name becomes the file it stands for.
  sys.argv[1:] = _with_config_files(sys.argv[1:])


def _with_config_files(arguments: list[str]) -> list[str]:
  """Returns arguments with a path in place of the name of a config."""
  named = re.compile(r"(--?config=)([^:]*)(.*)", re.DOTALL)
  replaced = list(arguments)
  for i, argument in enumerate(arguments):
    if found := named.fullmatch(argument):
      flag, name, variant = found.groups()
      replaced[i] = f"{flag}{files.find(name)}{variant}"
    elif argument in ("--config", "-config") and i + 1 < len(arguments):
      name, colon, variant = arguments[i + 1].partition(":")
      replaced[i + 1] = f"{files.find(name)}{colon}{variant}"
  return replaced


def main(_) -> None:
  """Builds the experiment that the flags describe, and runs it."""
  values = flags.FLAGS
  if values.config is not None:
    name = config_flags.get_config_filename(values["config"])
    files.check(name.partition(":")[0])
  # A file that cannot be read fails here, not as a flag.
  given = None if values.config is None else values.config.to_dict()
  workdir = values.workdir or files.default_workdir(
    config_flags.get_config_filename(values["config"])
  )
  # After the flags, so that --help and a wrong flag do not wait for them.
  from ifa_jax.runtime import collectives, distributed
  from ifa_jax.training import evaluation, experiment, loop
  from ifa_jax.workdir.run_folder import RunFolder

  # Before anything asks JAX for its devices.
  distributed.join(
    values.coordinator_address, values.num_processes, values.process_id
  )
  folder = RunFolder(workdir)
  config = collectives.together(lambda: _read(given, folder))
  if given is not None and values.raw_dir:
    collectives.together(
      lambda: _prepare(config, values) if collectives.is_first() else None
    )
  built = collectives.together(lambda: experiment.build(config))
  if values.mode == "evaluate":
    evaluation.run(built, folder, values.split)
    return
  if collectives.is_first():
    _log.info("Run folder: %s", workdir)
  loop.run(built, workdir)


def _read(given: dict[str, Any] | None, folder: "RunFolder") -> "RunConfig":
  """Returns the resolved config of a config file, or else of a run."""
  from ifa_jax.training.config import resolve, run_record
  from ifa_jax.training.config.run_config import RunConfig

  if given is None:
    return run_record.read(folder)
  return resolve.resolve(RunConfig.from_dict(given), folder)


def _prepare(config: "RunConfig", values: flags.FlagValues) -> None:
  """Prepares the dataset of a config, unless it is there."""
  if not os.path.isdir(values.raw_dir):
    raise ValueError(f"--raw_dir={values.raw_dir}: there is no such folder")
  from ifa_jax.preparation.mnre.plan import Settings
  from ifa_jax.preparation.mnre.prepare import prepare
  from ifa_jax.training.config import dataset_settings

  settings = dataclasses.replace(
    Settings(raw_dir=values.raw_dir, **dataset_settings.of_config(config)),
    boxes=values.boxes,
    missing_pixels=values.missing_pixels,
  )
  prepared, is_new = prepare(settings)
  state = "Prepared" if is_new else "Already prepared:"
  _log.info("%s %s", state, prepared.folder)


def run() -> None:
  """Runs the command."""
  app.run_module("ifa_jax.launch")


if __name__ == "__main__":
  run()
