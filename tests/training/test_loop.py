"""Whole runs: the files they write, and resuming with equal results."""

import ast
import functools
import json
import shutil

import numpy as np
import pytest
import tiny_run
import whole_run

from ifa_jax.runtime.forms import FORMS
from ifa_jax.statistics import metrics
from ifa_jax.training import batch_source, evaluation, loop
from ifa_jax.training.metric_writer import Meter
from ifa_jax.workdir.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("fast_compilation")

TRAIN_KEYS = {"loss", "accuracy", "grad_norm", "examples_per_second"}
DEV_KEYS = {"dev_accuracy", "dev_precision", "dev_recall", "dev_f1"}
STILL = {
  "model": {
    "vision": None,
    "head_dropout_rate": 0.0,
    "text": {"dropout_rate": 0.0, "attention_dropout_rate": 0.0},
  }
}


# Files of a run.


def test_a_run_writes_every_file_of_its_folder(finished):
  names = {p.name for p in finished.workdir.iterdir()}
  (events,) = {n for n in names if n.startswith("events.out.tfevents.")}
  assert names - {events} == tiny_run.FILES
  record = json.loads((finished.workdir / "config.json").read_text())
  asked = json.loads(json.dumps(finished.experiment.config.to_dict()))
  assert record["config"] == asked
  assert record["dataset"]["protocol"] == "clean"
  assert set(record["versions"]) >= {
    "python",
    "jax",
    "flax",
    "orbax-checkpoint",
  }
  assert "git_commit" in record


def test_metrics_have_a_line_for_each_window_and_each_epoch(finished):
  written = whole_run.lines(finished.workdir)
  kinds = {frozenset(TRAIN_KEYS): "train", frozenset(DEV_KEYS): "dev"}
  found = [
    (line["step"], line["epoch"], kinds[frozenset({*line} - {"step", "epoch"})])
    for line in written
  ]
  # Every 2 updates, before each checkpoint, and at the end of an epoch.
  assert found == [
    (2, 1, "train"),
    (3, 1, "train"),
    (4, 1, "train"),
    (4, 1, "dev"),
    (6, 2, "train"),
    (8, 2, "train"),
    (8, 2, "dev"),
  ]
  assert all(np.isfinite(list(line.values())).all() for line in written)


@pytest.mark.parametrize(("split", "num_rows"), [("dev", 13), ("test", 17)])
def test_scores_are_those_of_the_written_predictions(finished, split, num_rows):
  scores = json.loads((finished.workdir / f"eval_{split}.json").read_text())
  rows = whole_run.lines(finished.workdir, f"predictions_{split}.jsonl")
  assert (scores["split"], scores["protocol"]) == (split, "clean")
  prefix = batch_source.SPLIT_NAMES[split]
  numbers = range(1, num_rows + 1)
  assert [row["id"] for row in rows] == [f"{prefix}/{i}" for i in numbers]
  relations = finished.experiment.prepared.relations
  gold, predicted = (
    np.array([relations.index(row[key]) for row in rows])
    for key in ("gold", "pred")
  )
  wanted = metrics.score(gold, predicted, relations)
  assert {key: scores[key] for key in wanted} == wanted
  for row in rows:
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert row["probability"] == row["probabilities"][row["pred"]]
    assert row["probability"] == max(row["probabilities"].values())


def test_gold_labels_words_and_pictures_are_those_of_the_raw_tree(
  finished, raw_dir
):
  raw = (raw_dir / "txt" / "ours_test.txt").read_text().splitlines()
  rows = whole_run.lines(finished.workdir, "predictions_test.jsonl")
  for found, line in zip(rows, raw, strict=True):
    row = ast.literal_eval(line)
    assert found["gold"] == row["relation"]
    assert found["text"] == " ".join(row["token"])
    assert (found["head"], found["tail"]) == (
      row["h"]["name"],
      row["t"]["name"],
    )
    assert found["img_id"] == row["img_id"]


# A run that is stopped and started again.


def test_a_run_that_is_stopped_anywhere_ends_as_without_a_stop(
  finished, build, tmp_path
):
  updates = functools.partial(
    whole_run.run_until_stopped, build(), tmp_path, Meter, "add"
  )
  dev = functools.partial(
    whole_run.run_until_stopped, build(), tmp_path, loop.Trainer, "_score_dev"
  )
  test = functools.partial(
    whole_run.run_until_stopped, build(), tmp_path, evaluation, "write"
  )
  # The newest checkpoint when a process ends is where the next one begins. One
  # within an epoch waits for the next update.
  for stop, number, newest in (
    (updates, 3, None),
    (updates, 4, None),
    (dev, 1, 3),
    (updates, 3, 4),
    (updates, 3, 4),
    (dev, 1, 6),
    (test, 2, 8),
  ):
    stop(number)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
      assert checkpoints.newest == newest
  loop.run(build(), tmp_path)
  found, wanted = (
    whole_run.outcome(tmp_path),
    whole_run.outcome(finished.workdir),
  )
  for part, other in zip(found, wanted, strict=True):
    assert part == other


@pytest.fixture(scope="module", name="forms")
def runs_of_all_forms_that_end_within_an_epoch(
  data_dir, fast_compilation, tmp_path_factory
):
  """Folder of a run by its form; that of the jit form was stopped."""
  folders = {}
  for form in FORMS:
    folders[form] = tmp_path_factory.mktemp(form) / "run"
    config = tiny_run.tiny_run_config(
      data_dir, **STILL, train={"parallel": form, "max_steps": 6}
    )
    built = tiny_run.build(config)
    if form == "jit":
      whole_run.run_until_stopped(built, folders[form], Meter, "add", 5)
    loop.run(built, folders[form])
  return folders


@pytest.mark.parametrize("form", ["jit", "fsdp"])
def test_all_forms_compute_the_same(forms, form):
  (pmap, *_), (other, *_) = (
    whole_run.outcome(forms[form]) for form in ("pmap", form)
  )
  for found, wanted in zip(other, pmap, strict=True):
    assert found == pytest.approx(wanted, rel=1e-6)
  pmap, other = (
    whole_run.lines(forms[form], "predictions_test.jsonl")
    for form in ("pmap", form)
  )
  for found, wanted in zip(other, pmap, strict=True):
    assert found["probabilities"] == pytest.approx(
      wanted["probabilities"], abs=2e-6
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_run_cut_off_within_an_epoch_ends_with_dev_scores(forms, form):
  written = whole_run.lines(forms[form])
  scored = [(x["step"], x["epoch"]) for x in written if "dev_f1" in x]
  assert scored == [(4, 1), (6, 2)]
  with Checkpoints(forms[form] / "checkpoints") as checkpoints:
    assert checkpoints.newest == 6
  saved = forms[form] / "checkpoints" / "6" / "metrics" / "metrics"
  assert json.loads(saved.read_text())["f1"] == written[-1]["dev_f1"]
  scores = json.loads((forms[form] / "eval_test.json").read_text())
  assert scores["step"] in (4, 6)


def test_a_finished_run_started_again_computes_nothing(
  finished, build, monkeypatch
):
  def refuse(*_, **__):
    raise AssertionError("computed something")

  before = whole_run.snapshot(finished.workdir)
  monkeypatch.setattr(loop.Trainer, "train", refuse)
  monkeypatch.setattr(evaluation.Evaluator, "predict", refuse)
  scores = loop.run(build(), finished.workdir)
  assert scores == json.loads((finished.workdir / "eval_test.json").read_text())
  assert whole_run.snapshot(finished.workdir) == before


def test_a_run_may_find_its_data_elsewhere(finished, build, data_dir, tmp_path):
  shutil.copytree(data_dir, tmp_path / "moved")
  moved = build(
    data={"data_dir": str(tmp_path / "moved")}, train={"log_steps": 7}
  )
  scores = loop.run(moved, finished.workdir)
  assert scores == json.loads((finished.workdir / "eval_test.json").read_text())


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"seed": 7}, "seed: expected 1234 as recorded, got 7"),
    (
      {"train": {"total_epochs": 3}},
      "train.total_epochs: expected 2 as recorded, got 3",
    ),
    (
      {"data": {"visual_shuffle_seed": 0}},
      "visual_shuffle_seed: expected None",
    ),
    (
      {"eval": {"batch_size": 7}},
      "eval.batch_size: expected 5 as recorded, got 7",
    ),
  ],
)
def test_another_run_in_the_folder_is_refused_and_kept(
  finished, build, changes, message
):
  before = whole_run.snapshot(finished.workdir)
  with pytest.raises(ValueError, match=message):
    loop.run(build(**changes), finished.workdir)
  assert whole_run.snapshot(finished.workdir) == before


def test_remat_wants_scanned_layers(build, tmp_path):
  built = build(train={"remat": True, "scan_layers": False})
  with pytest.raises(ValueError, match=r"train\.remat: expected scanned"):
    loop.run(built, str(tmp_path / "run"))
