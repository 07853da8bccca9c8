"""FewRel's published validation files: read, prepared, trained on, scored."""

import json
import os

import numpy as np
import pytest
import raw_tree
import tiny_run
from format_files import NO_FILES, open_reader
from sklearn import metrics as sklearn_metrics

from ifa_jax.data import schema
from ifa_jax.models import registry
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.preparation.mnre import plan
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.training import loop

FEWREL_DIR = os.environ.get("FEWREL_DIR")
pytestmark = [
  pytest.mark.skipif(
    not FEWREL_DIR, reason="set FEWREL_DIR to a folder of FewRel's val_*.json"
  ),
  pytest.mark.slow,
  pytest.mark.usefixtures("fast_compilation"),
]
TEXT_LEN = 160


def _open(name, shares):
  files = NO_FILES | {"train": [name]}
  return open_reader(FEWREL_DIR, "fewrel", files, shares)


@pytest.mark.parametrize(
  ("name", "num_rows", "num_relations"),
  [("val_semeval.json", 8851, 17), ("val_pubmed.json", 1000, 10)],
)
def test_published_rows_are_read(name, num_rows, num_relations):
  reader = _open(name, (80, 10, 10))
  found = {split: [*reader.rows(split)] for split in schema.SPLITS}
  assert sum(map(len, found.values())) == num_rows
  assert len(reader.relations) == 1 + num_relations
  assert reader.negative is None
  texts = [{row.words for row in rows} for rows in found.values()]
  assert sum(map(len, texts)) == len(set().union(*texts))


@pytest.fixture(scope="module", name="prepared")
def prepared_dataset(tmp_path_factory):
  folder = tmp_path_factory.mktemp("fewrel")
  found, _ = prepare(
    plan.Settings(
      raw_dir=FEWREL_DIR,
      data_dir=str(folder / "data"),
      protocol="none",
      format="fewrel",
      train_files=["val_pubmed.json"],
      split=(60, 20, 20),
      tokenizer=raw_tree.write_tokenizer(folder / "tokenizer"),
      text_len=TEXT_LEN,
      num_workers=1,
    )
  )
  return found


def test_scores_of_a_trained_model_are_those_of_scikit_learn(
  prepared, tmp_path
):
  assert sum(prepared.num_rows.values()) == 1000
  loop.run(tiny_run.build(_config(prepared)), str(tmp_path))
  lines = tiny_run.read_lines(tmp_path / "predictions_test.jsonl")
  assert len(lines) == prepared.num_rows["test"]
  gold, predicted = ([x[key] for x in lines] for key in ("gold", "pred"))
  assert len({*gold}) == 10
  scores = json.loads((tmp_path / "eval_test.json").read_text())
  others = prepared.relations[1:]
  for average, key in (("micro", "f1"), ("macro", "macro_f1")):
    found = sklearn_metrics.f1_score(
      gold, predicted, labels=others, average=average, zero_division=0
    )
    assert scores[key] == pytest.approx(found)
  accuracy = np.mean(np.array(gold) == np.array(predicted))
  assert scores["accuracy"] == pytest.approx(accuracy)
  # More than by always naming the most frequent relation.
  assert accuracy > max(map(gold.count, gold)) / len(gold)


def _config(prepared):
  """Returns the config of sixty updates of a small model of the text."""
  config = tiny_run.tiny_run_config(
    prepared.folder,
    train={"max_steps": 60, "batch_size": 32, "total_epochs": 4},
    data={"protocol": "none", "text_len": TEXT_LEN, "text_buckets": ()},
  )
  model = PCNNConfig(
    word_dim=32,
    position_dim=2,
    hidden_dim=32,
    num_relations=len(prepared.relations),
  )
  config["model"] = registry.to_dict(model)
  config["optim"]["groups"] = {"all": {"pattern": ".*", "peak_lr": 0.01}}
  return config
