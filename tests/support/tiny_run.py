"""Runs of a toy model on the generated dataset of `conftest`, in seconds."""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from configs import quickstart
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Geometry
from ifa_jax.preparation.mnre import plan
from ifa_jax.preparation.quickstart.command import Settings
from ifa_jax.training import experiment
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.experiment import Experiment

# The batch sizes below divide none of them.
NUM_ROWS = Settings(num_train=40, num_dev=13, num_test=17)
GEOMETRY = {"image_size": 32, "patch_size": 8, "num_crops": 2}

_WIDTHS = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32}
# High, so that pictures bear on the predictions after a few updates.
_RATE = {"peak_lr": 0.05}
# Two epochs of four updates, of 12, 12, 12 and 4 rows.
SECTIONS = {
  "model": {
    "text": _WIDTHS,
    "vision": _WIDTHS | GEOMETRY,
    "dtype": "float32",
  },
  "train": {
    "batch_size": 12,
    "total_epochs": 2,
    "log_steps": 2,
    "checkpoint_steps": 3,
    "progress": False,
  },
  "optim": {"groups": {"new": _RATE, "encoder": _RATE}},
  "eval": {"batch_size": 5},
}
# Files of a finished run's folder, without TensorBoard's.
FILES = {
  "checkpoints",
  "config.json",
  "eval_dev.json",
  "eval_test.json",
  "metrics.jsonl",
  "predictions_dev.jsonl",
  "predictions_test.jsonl",
  "tokenizer",
}


class Finished(NamedTuple):
  """A run that came to its end without a break."""

  experiment: Experiment
  workdir: pathlib.Path


def dataset_settings(
  raw_dir: pathlib.Path, data_dir: pathlib.Path, num_workers: int = 1
) -> plan.Settings:
  """Returns how a generated tree is prepared, under the protocol clean."""
  return plan.Settings(
    raw_dir=str(raw_dir),
    data_dir=str(data_dir),
    protocol="clean",
    boxes=str(raw_dir / "boxes.json"),
    captions=[str(raw_dir / "captions.json")],
    tokenizer=str(raw_dir / "tokenizer"),
    text_len=40,
    num_workers=num_workers,
    **GEOMETRY,
  )


def tiny_run_config(data_dir: str, **changes: Any) -> dict[str, Any]:
  """Returns the whole config of a run of eight updates, as plain values.

  Args:
    data_dir: the session's dataset.
    **changes: settings over `SECTIONS`, e.g. `train={"max_steps": 6}`.
  """
  config = quickstart.get_config().to_dict()
  for part in (SECTIONS, {"data": {"data_dir": str(data_dir)}}, changes):
    config = merged(config, part)
  return config


def build(config: dict[str, Any]) -> Experiment:
  """Returns the experiment of a config, plain values."""
  return experiment.build(resolve(RunConfig.from_dict(config)))


def merged(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
  """Returns nested dicts with some leaves replaced."""
  result = dict(config)
  for key, value in changes.items():
    both = isinstance(value, dict) and isinstance(result.get(key), dict)
    result[key] = merged(result[key], value) if both else value
  return result


def gold_labels(run: Finished) -> np.ndarray:
  """Returns the labels of the test rows."""
  order = sampling.evaluation_order(NUM_ROWS.num_test, NUM_ROWS.num_test)
  (batch,) = run.experiment.data.split("test").batches(order, Geometry(40))
  return batch.label


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the objects of a file of JSON lines."""
  return [json.loads(line) for line in path.read_text().splitlines()]


def _fast_settings(cache_dir: pathlib.Path) -> dict[str, Any]:
  """Compiles nothing a second time: it takes most of a run."""
  return {
    "jax_enable_compilation_cache": True,
    "jax_compilation_cache_dir": str(cache_dir),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
  }


@contextlib.contextmanager
def fast_compilation(cache_dir: pathlib.Path) -> Iterator[None]:
  """Makes runs of this process start quickly; they share compiled code."""
  settings = _fast_settings(cache_dir)
  before = {name: jax.config.values[name] for name in settings}
  _configure(settings)
  yield
  _configure(before)


def fast_environment(cache_dir: pathlib.Path) -> dict[str, str]:
  """Returns the same for a process of its own, as environment variables."""
  settings = _fast_settings(cache_dir)
  return {name.upper(): str(value) for name, value in settings.items()}


def _configure(settings: dict[str, Any]) -> None:
  for name, value in settings.items():
    jax.config.update(name, value)
  # It looks at its settings once.
  compilation_cache.reset_cache()
