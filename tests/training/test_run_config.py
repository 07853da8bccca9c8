"""The typed config: read strictly, written as it is read, resolved once."""

import dataclasses

import pytest
import tiny_run

from configs import minilm, mnre, quickstart
from ifa_jax.models import ModelConfig
from ifa_jax.models.base import AUTO_DTYPE
from ifa_jax.training import experiment
from ifa_jax.training.config import defaults, run_record
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.run_folder import RunFolder

VARIANTS = [
  (module, variant)
  for module in (minilm, mnre, quickstart)
  for variant in module.VARIANTS
]


def test_config_files_start_from_its_defaults():
  assert RunConfig.from_dict(defaults.base().to_dict()) == RunConfig()


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_every_config_reads_back_equal(module, variant):
  config = RunConfig.from_dict(module.get_config(variant).to_dict())
  assert RunConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
  ("settings", "error", "message"),
  [
    ({"sed": 1}, KeyError, "sed: no such setting; did you mean seed?"),
    ({"train": {"bach_size": 1}}, KeyError, "train.bach_size: no such setting"),
    (
      {"train": {"batch_size": "1"}},
      ValueError,
      "train.batch_size: expected",
    ),
    ({"train": {"max_steps": -1}}, ValueError, "train.max_steps: expected at"),
    ({"eval": {"batch_size": 0}}, ValueError, "eval.batch_size: expected at"),
    ({"data": {"caption_len": 2}}, ValueError, "data.caption_len: expected at"),
    ({"optim": {"epsilon": 0.0}}, ValueError, "optim.epsilon: expected at"),
    ({"seed": 2**32}, ValueError, "seed: expected at least 0 and below 4294"),
    (
      {"optim": {"warmup_percent": 6}},
      ValueError,
      "optim.warmup_percent: expected at least 0 and at most 1, got 6",
    ),
    (
      {"optim": {"groups": {"a": {"pattern": ".*", "peak_lr": -1e-4}}}},
      ValueError,
      "optim.groups.a.peak_lr: expected at least 0, got -0.0001",
    ),
    (
      {"model": {"head_dropout_rate": 1.0}},
      ValueError,
      "model.head_dropout_rate: expected at least 0 and below 1",
    ),
    (
      {"model": {"text": {"num_layers": 0}}},
      ValueError,
      "model.text.num_layers: expected at least 1",
    ),
    (
      {"data": {"visual_shuffle_keep": "count"}},
      ValueError,
      "data.visual_shuffle_seed: expected a seed with",
    ),
    (
      {"train": {"on_bad_numbers": "go"}},
      ValueError,
      "train.on_bad_numbers: expected one of stop, skip, got 'go'",
    ),
    (
      {"data": {"cache": "disk"}},
      ValueError,
      "data.cache: expected one of auto, host, device, none, got 'disk'",
    ),
    (
      {"data": {"layout": "x"}},
      ValueError,
      "data.layout: expected one",
    ),
    (
      {"optim": {"algorithm": "x"}},
      ValueError,
      "optim.algorithm: expected",
    ),
    (
      {"optim": {"groups": {"a": {"pattern": 3, "peak_lr": 0.1}}}},
      ValueError,
      "optim.groups.a.pattern: expected str, got 3",
    ),
    ({"model": 3}, ValueError, "model: expected System, got 3"),
    (
      {"model": {"dtype": "half"}},
      ValueError,
      "model.dtype: expected one",
    ),
  ],
)
def test_an_invalid_setting_is_named(settings, error, message):
  with pytest.raises(error) as raised:
    RunConfig.from_dict(settings)
  assert raised.value.args[0].startswith(message)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model": ModelConfig(dtype=AUTO_DTYPE)}, "model.dtype: expected a resol"),
    ({"weights": None}, "weights: expected encoders for a model that has some"),
  ],
)
def test_an_experiment_needs_a_resolved_config(changes, message):
  config = RunConfig.from_dict(tiny_run.tiny_run_config("nowhere"))
  with pytest.raises(ValueError, match=message):
    experiment.build(dataclasses.replace(config, **changes))


def test_a_record_of_a_later_version_is_named(tmp_path):
  record = {"config": {"train": {"new": 1}}, "dataset": {}}
  (tmp_path / "config.json").write_text("{}")
  folder = RunFolder(tmp_path)
  folder.write_json("config.json", record)
  with pytest.raises(ValueError, match=r"config\.json: train\.new: no such"):
    run_record.read(folder)
