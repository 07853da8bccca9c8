"""The cost of importing the package, and its public names."""

import ast
import subprocess
import sys

import pytest
import tiny_run

import ifa_jax
from ifa_jax.batch import Batch

HEAVY = "{'jax', 'flax', 'tensorflow', 'torch', 'transformers', 'matplotlib'}"


def test_importing_it_loads_nothing_heavy():
  code = f"import sys, ifa_jax; print(sorted({HEAVY} & {{*sys.modules}}))"
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "[]"


def test_its_names_are_loaded_when_they_are_asked_for():
  assert ifa_jax.Batch is Batch
  assert ifa_jax.convert.from_deepke.__module__ == "ifa_jax.convert.deepke"
  assert callable(ifa_jax.models.build)
  assert dir(ifa_jax) == sorted(ifa_jax.__all__)
  with pytest.raises(AttributeError, match="no attribute 'Bach'"):
    _ = ifa_jax.Bach


def test_posts_are_predicted_without_tensorflow_or_pytorch(finished, posts):
  code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["torch"] = None
import ifa_jax
print(ifa_jax.Predictor({str(finished.workdir)!r}).predict({posts[0]!r}))
"""
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  found = ast.literal_eval(done.stdout)
  (line,) = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")[:1]
  assert found["relation"] == line["pred"]
  assert found["probability"] == pytest.approx(line["probability"], abs=1e-5)
