"""Runs with non-finite numbers: none is saved, and the first one is reported.

The cause is real: a row of the word table that is not finite, which one text of
the training split reads and none of the others; or a learning rate.
"""

import logging

import numpy as np
import pytest
import tiny_run
import whole_run

from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.training import initialize, loop
from ifa_jax.training.fault_tolerance import nonfinite
from ifa_jax.training.metric_writer import BadStep
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

TEXT = {"model": {"vision": None}}
SKIP = {"train": {"on_bad_numbers": "skip"}}


def rows_of_words(built, name):
  """Returns the words' ids of each row of a split."""
  split = built.data.split(name)
  texts = (split.describe(row) for row in range(len(split)))
  return [{*text.encoded.input_ids} for text in texts]


@pytest.fixture(name="bad_row")
def row_with_a_bad_word(build, monkeypatch):
  """The only row with a certain word, whose vector is not finite."""
  built = build(**TEXT)
  words = rows_of_words(built, "train")
  others = set().union(
    *rows_of_words(built, "dev"), *rows_of_words(built, "test")
  )
  row, word = next(
    (row, word)
    for row, own in enumerate(words)
    # Filler is copies of row 0.
    if row
    for word in sorted(own - others)
    if sum(word in x for x in words) == 1
  )
  first_params = initialize.Start.first_params

  def planted(self):
    params = first_params(self)
    table = params["text"]["embed"]["word"]
    table["embedding"] = table["embedding"].at[word].set(np.inf)
    return params

  monkeypatch.setattr(initialize.Start, "first_params", planted)
  return row


def steps_with(built, row):
  """Returns the numbers of the steps with a row in their batch."""
  found = []
  for epoch in range(2):
    order = orders.training_order(40, 12, built.config.seed, epoch)
    found += [
      4 * epoch + i for i, batch in enumerate(order, start=1) if row in batch
    ]
  return found


def test_a_bad_row_stops_a_run_or_is_skipped(
  build, bad_row, tmp_path, caplog, thorough
):
  first, second = steps_with(build(), bad_row)
  name = f"train/{bad_row + 1}"
  # It stops; the saved states are older.
  with pytest.raises(
    ValueError, match=rf"^step {first}: expected finite"
  ) as error:
    loop.run(build(**TEXT), tmp_path / "run")
  message = str(error.value)
  assert "\n" not in message
  assert "first the parameter text/embed/word/embedding" in message
  assert "(optim.groups: encoder); bad rows: " + name in message
  with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
    assert (checkpoints.newest or 0) < first
  # It continues without the row.
  with caplog.at_level(logging.WARNING, "ifa_jax"):
    loop.run(build(**tiny_run.merged(TEXT, SKIP)), tmp_path / "run")
  assert "2 of 8 updates were skipped" in caplog.text
  records = whole_run.lines(tmp_path / "run", nonfinite.NAME)
  assert [x["step"] for x in records] == [first, first, second]
  for record in records:
    assert record["groups"] == ["encoder"]
    assert record["bad_rows"] == [name]
    assert name in record["batch"]
    assert record["loss"] == "nan"
  written = whole_run.lines(tmp_path / "run")
  assert sum(line.get("skipped", 0) for line in written) == 2
  if thorough:
    # All files are as without the stop.
    loop.run(build(**tiny_run.merged(TEXT, SKIP)), tmp_path / "whole")
    found, wanted = map(
      whole_run.outcome, (tmp_path / "run", tmp_path / "whole")
    )
    assert found == wanted


def test_a_learning_rate_that_ruins_all_leaves_no_bad_checkpoint(
  build, tmp_path
):
  rate = {"peak_lr": 1e30}
  changes = TEXT | {
    "optim": {"groups": {"new": rate, "encoder": rate}, "warmup_percent": 0.0},
    "train": {"checkpoint_steps": 1, "parallel": "jit", "num_slices": 2},
  }
  # The first update is finite, and ruins the parameters.
  with pytest.raises(ValueError, match=r"^step 2: expected finite .*: train/"):
    loop.run(build(**changes), tmp_path / "run")
  with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
    assert checkpoints.newest is None


def test_skipping_ends_where_nothing_else_comes(build, tmp_path, monkeypatch):
  built = build(**tiny_run.merged(TEXT, SKIP))
  monkeypatch.setattr(
    nonfinite.BadNumbers,
    "_describe",
    lambda *_: {"groups": [], "first": None, "bad_rows": [], "batch": ["a"]},
  )
  met = nonfinite.BadNumbers(built, RunFolder(tmp_path), None)
  meet = lambda step: met.meet(  # noqa: E731
    BadStep(step, 0, np.nan, 1.0), None, None
  )
  for step in (*range(1, 10), *range(11, 20)):
    meet(step)
  with pytest.raises(ValueError, match=r"step 20: .* the 10th in a row"):
    meet(20)
  assert len(whole_run.lines(tmp_path, nonfinite.NAME)) == 19
