"""Trains, resumes or evaluates a run.

python launch.py --config=configs/mnre.py[:variant] --workdir=DIR \\
    [--config.section.setting=value ...]
"""

from absl import flags
from ml_collections import config_flags

from ifa_jax import command

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "What to train: FILE[:VARIANT], see configs/."
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "The run's folder; one that holds this run is resumed."
)
_MODE = flags.DEFINE_enum(
  "mode",
  "train",
  ["train", "evaluate"],
  "Train and score, or score a finished run again.",
)
_SPLIT = flags.DEFINE_enum(
  "split", "test", ["dev", "test"], "What --mode=evaluate scores."
)
flags.mark_flag_as_required("workdir")
flags.register_validator(
  "config",
  lambda config: config is not None or _MODE.value == "evaluate",
  "want a file, e.g. --config=configs/mnre.py; only --mode=evaluate does"
  " without",
)


def main(_) -> None:
  """Builds the experiment that the flags describe, and runs it."""
  # A file that cannot be read fails here, not as a flag.
  config = None if _CONFIG.value is None else _CONFIG.value.to_dict()
  # Behind the flags, so that --help and a wrong flag do not wait for them.
  from ifa_jax import evaluate, experiment, train, weights
  from ifa_jax.run_folder import RunFolder

  if _MODE.value == "evaluate":
    folder = RunFolder(_WORKDIR.value)
    if config is None:
      # The run's own has its weights' sizes in it.
      config = folder.read_record()["config"]
    else:
      config = weights.resolve(config)
    evaluate.run(experiment.build(config), folder, _SPLIT.value)
  else:
    train.run(experiment.build(weights.resolve(config)), _WORKDIR.value)


if __name__ == "__main__":
  command.run(main, compiles=True)
