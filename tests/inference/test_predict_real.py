"""Published rows: the photo's prediction is that of the prepared row."""

import jax
import numpy as np
import own_runs
import pytest
import real_posts
import tiny
import tiny_run

from ifa_jax.data import schema
from ifa_jax.inference.predictor import Predictor
from ifa_jax.preparation.mnre import plan, prepare
from ifa_jax.training import evaluation
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = [
  pytest.mark.skipif(
    not real_posts.MNRE_DIR,
    reason="set MNRE_DIR to the published data/ folder",
  ),
  pytest.mark.usefixtures("fast_compilation"),
]

TEXT_LEN = 200
NUM_ROWS = 12


@pytest.fixture(scope="module", name="tree")
def tree_of_published_rows(tmp_path_factory):
  return real_posts.write_tree(tmp_path_factory.mktemp("raw"), NUM_ROWS)


def probabilities(records):
  return np.array([list(r["probabilities"].values()) for r in records])


@pytest.mark.parametrize("protocol", ["clean", "none"])
def test_a_photo_is_predicted_as_its_row_is(tree, protocol, tmp_path, capsys):
  built = build(prepared(tree, protocol, tmp_path / "data"))
  # Twice as large, so that a crop more or less bears on the probabilities.
  params = jax.tree.map(
    lambda x: 2 * x, tiny.perturbed_params(built.config.model)
  )
  workdir = own_runs.write(built, params, tmp_path / "run")
  evaluation.run(built, RunFolder(workdir), "test")
  rows = tiny_run.read_lines(tmp_path / "run" / "predictions_test.jsonl")
  predictor = Predictor(workdir)
  found = list(predictor.predict_all(tree.posts, batch_size=5))
  np.testing.assert_allclose(
    probabilities(found), probabilities(rows), atol=1e-5
  )
  for record, row in zip(found, rows, strict=True):
    assert (record["head"], record["tail"]) == (row["head"], row["tail"])
  # And all of it bears on the numbers.
  for key in ("boxes", "image"):
    fewer = [{k: v for k, v in post.items() if k != key} for post in tree.posts]
    other = probabilities(predictor.predict_all(fewer))
    assert abs(other - probabilities(rows)).max() > 1e-3


def prepared(tree, protocol, folder):
  """Returns the tree, prepared."""
  made = plan.Settings(
    raw_dir=str(tree.folder),
    data_dir=str(folder),
    protocol=protocol,
    boxes=str(tree.folder / "boxes.json"),
    tokenizer=str(tree.folder / "tokenizer"),
    text_len=TEXT_LEN,
    num_workers=1,
    **tiny_run.GEOMETRY,
  )
  prepare.prepare(made)
  return schema.read_metadata(folder)


def build(data):
  """Returns the experiment of a toy model of everything."""
  text = {"vocab_size": data.metadata["tokenizer"]["vocab_size"]}
  config = tiny_run.tiny_run_config(
    data.folder,
    data={"text_len": TEXT_LEN, "protocol": data.metadata["protocol"]},
    model={
      "text": text | {"max_len": TEXT_LEN},
      "num_relations": len(data.metadata["relations"]),
    },
  )
  return tiny_run.build(config)
