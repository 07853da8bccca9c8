"""The prediction of one post imports little, and compiles once."""

import json

import command_lines
import pytest
import tiny_run

LINE = [
  "tests/support/scripts/predicting_command.py",
  "--text=Ann joins Acme",
  "--head=Ann",
]
LINE += ["--tail=Acme"]
# Each takes from a tenth of a second to seconds to import.
HEAVY = {"transformers", "torch", "tensorflow", "tensorflow_datasets", "keras"}
HEAVY |= {"huggingface_hub", "optax", "scipy", "matplotlib", "pandas", "tqdm"}
HEAVY |= {"ray", "pyarrow"}
HEAVY |= {
  "ifa_jax.convert",
  "ifa_jax.detection",
  "ifa_jax.training.loop",
  "ifa_jax.training.steps",
}


@pytest.fixture(scope="module", name="starts")
def two_starts(finished, tmp_path_factory):
  """The same command twice, the first with an empty folder of compiled code."""
  line = [*LINE, f"--workdir={finished.workdir}"]
  outcomes = command_lines.run_all(
    {"first": line, "second": line},
    environment=tiny_run.fast_environment(tmp_path_factory.mktemp("compiled")),
  )
  assert [found.status for found in outcomes.values()] == [0, 0]
  return {
    name: json.loads(found.out.splitlines()[-1])
    for name, found in outcomes.items()
  }


def test_nothing_heavy_is_loaded(starts):
  assert not HEAVY & {*starts["second"]["modules"]}
  assert "ifa_jax.inference.predictor" in starts["second"]["modules"]


def test_a_post_is_one_program(starts):
  assert starts["first"]["programs"] == 1
  assert starts["first"]["kept"] == 0


def test_the_second_start_compiles_nothing(starts):
  assert starts["second"]["programs"] == starts["second"]["kept"] == 1
