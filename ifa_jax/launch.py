r"""Trains, resumes or evaluates a run.

    python launch.py --config=configs/mnre.py[:variant] [--workdir=DIR] \
        [--raw_dir=DATA] [--config.section.setting=value ...]

The same command resumes an interrupted run; for a finished one it reports the
scores. --raw_dir prepares the config's dataset first, unless it exists. Several
processes: docs/pods.md.
"""

import dataclasses
import logging
import os
import sys
from typing import TYPE_CHECKING

from ifa_jax.runtime import malloc

# Before the imports below: numpy and JAX start threads.
malloc.keep_freed_memory()

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ifa_jax.cli import app  # noqa: E402
from ifa_jax.data.schema import PROTOCOLS  # noqa: E402
from ifa_jax.training.config import files  # noqa: E402

if TYPE_CHECKING:
  from ifa_jax.training.config.run_config import RunConfig

COMPILES = True

_log = logging.getLogger("ifa_jax")

_STRINGS = {
  "workdir": (
    "The run's folder; one that holds this run is resumed. Default:"
    " runs/<config>/<variant>."
  ),
  "raw_dir": "A raw MNRE tree, to prepare the dataset from.",
  "data_dir": (
    "With --mode=evaluate: another prepared dataset to score the run on;"
    " relations are matched by name."
  ),
  "boxes": "With --raw_dir: boxes file, see data_prep.mnre.",
  "coordinator_address": (
    "HOST:PORT of process 0 of several. Default: JAX_COORDINATOR_ADDRESS."
  ),
}
_CHOICES = {
  "mode": (["train", "evaluate"], "Train and score, or score a run again."),
  "split": (["test", "dev"], "The split that --mode=evaluate scores."),
  "missing_pixels": (
    ["error", "absent", "grey"],
    "With --raw_dir: a picture or crop without a file is an error, left out, or"
    " grey.",
  ),
  "unknown_relations": (
    ["wrong", "skip"],
    "With --data_dir: rows of relations that the run does not know are wrong,"
    " or left out.",
  ),
}
# Flags that do nothing by themselves: name -> the flag that they belong to, and
# a hint.
_PARTS = {
  "protocol": ("data_dir", "; to train: --config.data.protocol"),
  "unknown_relations": ("data_dir", ""),
  "boxes": ("raw_dir", ""),
  "captions": ("raw_dir", ""),
  "missing_pixels": ("raw_dir", ""),
  "raw_dir": ("config", ""),
}
_COUNTS = {
  "num_processes": (
    1,
    "Number of processes of the run. Default: JAX_NUM_PROCESSES, or that of"
    " the cluster, or 1.",
  ),
  "process_id": (0, "Number of this process, from 0. Default: JAX_PROCESS_ID."),
}


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  config_flags.DEFINE_config_file(
    "config",
    None,
    f"FILE[:VARIANT], or NAME[:VARIANT] of {', '.join(files.names())}.",
  )
  for name, text in _STRINGS.items():
    flags.DEFINE_string(name, None, text)
  flags.DEFINE_list(
    "captions", [], "With --raw_dir: files of captions, see data_prep.mnre."
  )
  for name, (choices, text) in _CHOICES.items():
    flags.DEFINE_enum(name, choices[0], choices, text)
  for name, (least, text) in _COUNTS.items():
    flags.DEFINE_integer(name, None, text, lower_bound=least)
  flags.DEFINE_enum(
    "protocol",
    None,
    [*PROTOCOLS],
    "With --data_dir: the dataset's protocol. Default: the run's.",
  )
  _define_rules()
  # The flag's parser opens files: replace the names of configs before it runs.
  sys.argv[1:] = _with_config_files(sys.argv[1:])


def _define_rules() -> None:
  """Refuses flags that another flag leaves without effect."""
  for name, (whole, hint) in _PARTS.items():
    flags.register_multi_flags_validator(
      [name, whole],
      lambda values, name=name, whole=whole: (
        values[name] == flags.FLAGS[name].default or values[whole] is not None
      ),
      f"expected --{whole} with --{name}{hint}",
    )
  flags.register_multi_flags_validator(
    ["split", "mode"],
    lambda values: values["split"] == "test" or values["mode"] == "evaluate",
    "expected --split with --mode=evaluate; training scores dev and test",
  )
  flags.register_multi_flags_validator(
    ["data_dir", "mode"],
    lambda values: values["data_dir"] is None or values["mode"] == "evaluate",
    "expected --data_dir with --mode=evaluate; to train on another dataset:"
    " --config.data.data_dir",
  )
  # Of one flag, since the message about several prints the whole config.
  flags.register_validator(
    "data_dir",
    lambda path: path is None or flags.FLAGS["config"].value is None,
    "expected no --config next to it, since a run keeps its settings;"
    " --workdir names the run",
  )
  flags.register_multi_flags_validator(
    ["config", "mode", "workdir"],
    lambda values: (
      values["config"] is not None
      or (values["mode"] == "evaluate" and values["workdir"] is not None)
    ),
    "expected a config, e.g. --config=configs/mnre.py; only --mode=evaluate"
    " with --workdir needs none",
  )


def _with_config_files(arguments: list[str]) -> list[str]:
  """Returns arguments with a path in place of the name of a config."""
  replaced, names = list(arguments), ("--config", "-config")
  for i, argument in enumerate(arguments):
    flag, equals, value = argument.partition("=")
    # Either --config=NAME or --config NAME.
    if not equals or flag not in names:
      if arguments[i - 1 : i] not in ([name] for name in names):
        continue
      flag, equals, value = "", "", argument
    name, colon, variant = value.partition(":")
    replaced[i] = f"{flag}{equals}{files.find(name)}{colon}{variant}"
  return replaced


def main(_) -> None:
  """Builds the experiment that the flags describe, and runs it."""
  values = flags.FLAGS
  given, workdir = None, values.workdir
  if values.config is not None:
    name = config_flags.get_config_filename(values["config"])
    files.check(name.partition(":")[0])
    # ml_collections raises the error of an unreadable file only here.
    given = values.config.to_dict()
    workdir = workdir or files.default_workdir(name)
  # After the flags: --help and usage errors do not wait for these imports.
  from ifa_jax.runtime import collectives, distributed, peers
  from ifa_jax.training import evaluation, experiment, loop, transfer
  from ifa_jax.training.config import resolve, run_record
  from ifa_jax.training.config.run_config import RunConfig
  from ifa_jax.workdir.run_folder import RunFolder

  # Before anything asks JAX for its devices.
  distributed.join(**{x: values[x].value for x in distributed.VARIABLES})
  folder = RunFolder(workdir)

  def read() -> RunConfig:
    if given is None:
      return run_record.read(folder)
    return resolve.resolve(RunConfig.from_dict(given), folder)

  config = collectives.run_on_all(read)
  if values.data_dir:
    transfer.run(
      config,
      folder,
      values.data_dir,
      values.split,
      values.protocol,
      values.unknown_relations,
    )
    return
  if values.raw_dir:
    collectives.run_on_first(lambda: _prepare(config, values))
  built = collectives.run_on_all(lambda: experiment.build(config, folder))
  if values.mode == "evaluate":
    with peers.explained():
      evaluation.run(built, folder, values.split)
    return
  if collectives.is_first():
    _log.info("Run folder: %s", workdir)
  with peers.explained():
    loop.run(built, workdir)


def _prepare(config: "RunConfig", values: flags.FlagValues) -> None:
  """Prepares the dataset of a config, unless it exists."""
  if not os.path.isdir(values.raw_dir):
    raise ValueError(f"--raw_dir: expected a folder, got {values.raw_dir}")
  from ifa_jax.preparation.mnre.plan import Settings
  from ifa_jax.preparation.mnre.prepare import prepare
  from ifa_jax.training import experiment
  from ifa_jax.training.config import dataset_settings

  experiment.check_text_len(config)
  settings = dataclasses.replace(
    Settings(raw_dir=values.raw_dir, **dataset_settings.of_config(config)),
    boxes=values.boxes,
    captions=values.captions,
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
