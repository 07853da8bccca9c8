"""Tables of toy variants on the generated dataset of `conftest`."""

import command_lines
import pytest
import tiny_run
import whole_run

from ifa_jax.analyze.rows import configs, runs
from ifa_jax.training import loop as training

CONFIG = str(command_lines.ROOT / "configs" / "quickstart.py")
VARIANTS, SEEDS = ("objects", "vanilla"), (1, 49)


def settings(data_dir, **others):
  """Returns --set for a run of eight updates, overridden by `others`."""
  sections = tiny_run.merged(
    tiny_run.SECTIONS, {"data": {"data_dir": str(data_dir)}}
  )
  merged = tiny_run.merged(sections, others)
  return [flag[1:] for flag in command_lines.flags(merged, "")]


def plan(data_dir, workdir, variants=VARIANTS, seeds=SEEDS, **others):
  """Plans rows of configs/quickstart.py; `others` are sections over theirs."""
  module = configs.load(CONFIG)
  changes = configs.parse(settings(data_dir, **others))
  return [
    runs.plan(name, configs.read(module, name, changes), seeds, str(workdir))
    for name in variants
  ]


def train(data_dir, folder):
  """Trains a table that is stopped in its third run, and goes on."""
  rows = plan(data_dir, folder)
  with pytest.MonkeyPatch.context() as patched:
    # Two epochs a run.
    whole_run.stop_at(patched, training.Trainer, "_score_dev", 6)
    with pytest.raises(whole_run.StoppedError):
      runs.train_all(rows)
  finished = [*folder.rglob("eval_test.json")]
  assert [path.parent.parent.name for path in finished] == ["objects"] * 2
  before = whole_run.snapshot(folder / "objects")
  runs.train_all(rows)
  assert whole_run.snapshot(folder / "objects") == before
