"""The throughput benchmark: both sides predict the same rows."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import throughput


@pytest.mark.usefixtures("fast_compilation")
def test_both_sides_predict_the_rows_of_the_tree(finished, raw_dir, tmp_path):
  settings = throughput.Settings(
    workdir=str(finished.workdir), raw_dir=str(raw_dir), batch_size=5
  )
  num_posts, runs = throughput.make_runs(settings, str(tmp_path))
  for run in runs.values():
    run()
  found, expected = (
    [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    for name in ("predicted.jsonl", "predictions_test.jsonl")
  )
  assert len(found) == len(expected) == num_posts
  for line, other in zip(found, expected, strict=True):
    assert line["id"] == other["id"]
    np.testing.assert_allclose(
      [*line["probabilities"].values()],
      [*other["probabilities"].values()],
      atol=1e-5,
    )


def test_another_tree_is_refused(finished, raw_dir, tmp_path):
  other = tmp_path / "raw"
  (other / "txt").mkdir(parents=True)
  for path in raw_dir.glob("*.json"):
    (other / path.name).write_bytes(path.read_bytes())
  for path in (raw_dir / "txt").iterdir():
    (line, *_) = path.read_text().splitlines()
    (other / "txt" / path.name).write_text(f"{line}\n")
  settings = throughput.Settings(
    workdir=str(finished.workdir), raw_dir=str(raw_dir)
  )
  settings = dataclasses.replace(settings, raw_dir=str(other))
  with pytest.raises(ValueError, match="--raw_dir: expected the 17 rows"):
    throughput.make_runs(settings, str(tmp_path))
