"""The throughput benchmark: both sides do the same rows, and are compared."""

import predicted
import pytest

from benchmarks import throughput
from ifa_jax import predict
from ifa_jax.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_both_sides_predict_the_rows_of_the_tree(finished, raw_dir, tmp_path):
  boxes = str(raw_dir / "boxes.json")
  posts = list(throughput.read_posts(str(raw_dir), boxes))
  source = predicted.write(tmp_path / "posts.jsonl", posts)
  target = str(tmp_path / "out.jsonl")
  predictor = Predictor(finished.workdir)
  turns = {
    "evaluate": throughput.Evaluation(finished.workdir, tmp_path),
    "predict": lambda: predict.predict_file(predictor, source, target, 5),
  }
  seconds = throughput.measure(turns, rounds=2)
  assert {name: len(found) for name, found in seconds.items()} == {
    "evaluate": 2,
    "predict": 2,
  }
  evaluated = str(tmp_path / "predictions_test.jsonl")
  assert throughput.largest_gap(target, evaluated) < 1e-5
  # Without boxes they are other posts, and the gap says so.
  posts = list(throughput.read_posts(str(raw_dir), None))
  source = predicted.write(tmp_path / "posts.jsonl", posts)
  predict.predict_file(predictor, source, target, 5)
  assert throughput.largest_gap(target, evaluated) > 1e-3


@pytest.mark.parametrize(
  ("found", "error"),
  [
    ({"id": "test/2", "probabilities": {"None": 1.0}}, "found 1 others"),
    ({"id": "test/1", "error": "text: want"}, "test/1: text: want"),
  ],
)
def test_other_rows_are_refused(tmp_path, found, error):
  wanted = {"id": "test/1", "probabilities": {"None": 1.0}}
  files = [
    predicted.write(tmp_path / f"{i}.jsonl", [line])
    for i, line in enumerate((found, wanted))
  ]
  with pytest.raises(ValueError, match=error):
    throughput.largest_gap(*files)
