"""Evaluation: every row of a split counts once, with its own prediction."""

import json
import types

import jax
import numpy as np
import pytest
import tiny

from ifa_jax import models
from ifa_jax.batch import blank_pictures
from ifa_jax.data import schema
from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.row_text import RowText
from ifa_jax.runtime.forms import FORMS, make_parallel
from ifa_jax.training import eval_step, evaluation
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.slow

NUM_ROWS = 7
CONFIG = tiny.tiny_config(num_layers=1)
RELATIONS = ["None", "friends", "spouse", "member_of", "capital_of"]
PREPARED = {"protocol": "clean", "relations": RELATIONS}


class FakeSplit:
  """The rows of one random batch."""

  name = "val"
  rows = tiny.random_batch(CONFIG, NUM_ROWS)

  def __len__(self):
    return NUM_ROWS

  def batches(self, order, visual_rows):
    assert visual_rows is None
    for rows in order:
      batch = jax.tree.map(lambda x, rows=rows: x[rows], self.rows)
      yield batch.replace(valid=rows >= 0)

  def describe(self, row):
    words = ["Zoe", "Roe", "met", "Bob"]
    name, encoded = f"test/{row + 1}", Encoded([], [], 0, 0)
    return RowText(name, "a.jpg", words, (0, 2), (3, 4), {}, encoded)


def experiment(form="pmap", batch_size=3):
  return types.SimpleNamespace(
    config=RunConfig(),
    eval_rows=batch_size,
    data=types.SimpleNamespace(
      batches=FakeSplit.batches,
      split=lambda _: FakeSplit(),
      inputs=types.SimpleNamespace(visual_source=lambda split: None),
    ),
    model=models.build(CONFIG),
    scans=CONFIG.scans_layers,
    parallel=make_parallel(form),
    prepared=schema.Prepared("", PREPARED, {}),
  )


def predict(made, change=lambda batch: batch):
  params = made.parallel.copy(tiny.perturbed_params(CONFIG))
  return evaluation.Evaluator(made).predict(params, FakeSplit(), change=change)


@pytest.fixture(scope="module", name="whole")
def prediction_of_all_rows_as_one_batch():
  run = jax.jit(eval_step.EvalStep(models.build(CONFIG)))
  return np.asarray(run(tiny.perturbed_params(CONFIG), FakeSplit.rows))


@pytest.mark.parametrize(
  ("form", "batch_size"), [*((form, 3) for form in FORMS), ("jit", 16)]
)
def test_every_row_counts_once_for_any_batch_size(whole, form, batch_size):
  found = predict(experiment(form, batch_size))
  np.testing.assert_array_equal(found.gold, FakeSplit.rows.label)
  np.testing.assert_allclose(found.probabilities, whole, atol=1e-6)
  np.testing.assert_array_equal(found.predicted, whole.argmax(axis=1))


def test_blank_pictures_are_all_absent(whole):
  found = predict(experiment(), blank_pictures)
  assert np.abs(found.probabilities - whole).max() > 1e-3
  text = tiny.random_batch(tiny.tiny_config(vision=None), 2)
  assert blank_pictures(text).image_mask is None


def test_a_row_is_written_with_its_words_and_probabilities(tmp_path, whole):
  made = experiment()
  folder = RunFolder(tmp_path)
  predictions = evaluation.Predictions(FakeSplit.rows.label, whole)
  scores = evaluation.write(made, folder, "test", predictions, step=4)
  assert folder.read_json("eval_test.json") == scores
  assert scores["protocol"] == "clean"
  assert (scores["split"], scores["step"], scores["n"]) == ("test", 4, 7)
  text = (tmp_path / "predictions_test.jsonl").read_text()
  lines = [json.loads(x) for x in text.splitlines()]
  assert [line["id"] for line in lines] == [f"test/{i + 1}" for i in range(7)]
  for line, row, gold in zip(lines, whole, FakeSplit.rows.label, strict=True):
    assert line["gold"] == RELATIONS[gold]
    assert line["pred"] == RELATIONS[row.argmax()]
    assert line["probability"] == max(line["probabilities"].values())
    assert list(line["probabilities"]) == RELATIONS
    assert line["protocol"] == "clean"
    assert (line["head"], line["tail"]) == ("Zoe Roe", "Bob")


def test_missing_shards_are_noticed(monkeypatch):
  monkeypatch.setattr(
    "ifa_jax.data.pipeline.dataset.Split", lambda *_: FakeSplit()
  )
  prepared = schema.Prepared("data/x", {}, {"val": NUM_ROWS + 1})
  made = Experiment(RunConfig(), prepared, make_parallel("jit"))
  with pytest.raises(ValueError, match="expected 8 rows of 'val', got 7"):
    made.data.split("dev")


def test_rows_without_finite_probabilities_are_counted_and_named():
  made = experiment()
  params = tiny.perturbed_params(CONFIG)
  params["relation_head"]["bias"][0] = np.inf
  params = made.parallel.copy(params)
  wanted = r"^split val: expected finite .* got 7 of 7 rows .* first test/1: "
  with pytest.raises(ValueError, match=wanted):
    evaluation.Evaluator(made).predict(params, FakeSplit())
