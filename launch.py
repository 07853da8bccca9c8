"""Trains, resumes or evaluates a run.

python launch.py --config=configs/mnre.py[:variant] --workdir=DIR \\
    [--config.section.setting=value ...]

In several processes: docs/pods.md.
"""

from ifa_jax import host_memory

host_memory.keep_freed_memory()

# Behind it, since numpy and JAX start threads.
from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ifa_jax import command  # noqa: E402

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
_COORDINATOR_ADDRESS = flags.DEFINE_string(
  "coordinator_address",
  None,
  "HOST:PORT where process 0 of several listens; JAX_COORDINATOR_ADDRESS.",
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes",
  None,
  "Of the run; JAX_NUM_PROCESSES. By default as the cluster says, else 1.",
  lower_bound=1,
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "Of this process, from 0; JAX_PROCESS_ID.", lower_bound=0
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
  from ifa_jax import cluster, processes

  # Before anything asks JAX for its devices.
  cluster.join(
    _COORDINATOR_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value
  )
  from ifa_jax import evaluate, experiment, precision, train, weights
  from ifa_jax.run_folder import RunFolder

  folder = RunFolder(_WORKDIR.value)

  def build() -> experiment.Experiment:
    if config is not None:
      begun = precision.resolve(config, folder)
      return experiment.build(weights.resolve(begun))
    # The run's own has its weights' sizes in it.
    return experiment.build(folder.read_record()["config"])

  built = processes.together(build)
  if _MODE.value == "evaluate":
    evaluate.run(built, folder, _SPLIT.value)
  else:
    train.run(built, _WORKDIR.value)


if __name__ == "__main__":
  command.run(main, compiles=True)
