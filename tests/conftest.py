"""What end-to-end tests share: a generated dataset and a finished run on it."""

import ast
import json
import os
import pathlib
from typing import Any

# Compiling takes most of the suite's time, and running tiny models none. Set
# before JAX is loaded, for the processes that tests start as well;
# `test_parity` has code that is compiled as users have it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Nothing goes to the user's cache folder; `fast_compilation` has its own.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import pytest
import tiny_run


def pytest_addoption(parser) -> None:
  """Adds `--thorough`, for what takes too long to be run at each change."""
  parser.addoption(
    "--thorough",
    action="store_true",
    help="kill more often, try more inputs, make larger ones (half an hour)",
  )


@pytest.fixture(scope="session")
def thorough(request) -> bool:
  """Whether the run was asked to take its time."""
  return request.config.getoption("--thorough")


@pytest.fixture(scope="session")
def raw_dir(tmp_path_factory) -> pathlib.Path:
  """A raw tree of generated posts, with boxes and tokenizer."""
  from data_prep import quickstart

  folder = tmp_path_factory.mktemp("quickstart") / "raw"
  quickstart.generate(folder, tiny_run.NUM_ROWS)
  return folder


@pytest.fixture(scope="session")
def posts(raw_dir) -> list[dict[str, Any]]:
  """The tree's test rows as posts of one's own, with their boxes."""
  boxes = json.loads((raw_dir / "boxes.json").read_text())
  text = (raw_dir / "txt" / "ours_test.txt").read_text()
  return [
    {
      "id": f"test/{i}",
      "text": row["token"],
      "head": row["h"]["name"],
      "tail": row["t"]["name"],
      "head_span": row["h"]["pos"],
      "tail_span": row["t"]["pos"],
      "image": str(raw_dir / "img_org" / "test" / row["img_id"]),
      "boxes": boxes[row["img_id"]],
    }
    for i, row in enumerate(map(ast.literal_eval, text.splitlines()), start=1)
  ]


@pytest.fixture(scope="session")
def data_dir(raw_dir) -> pathlib.Path:
  """The tree's dataset, prepared under the protocol clean."""
  from data_prep import plan, prepare

  folder = raw_dir.parent / "data"
  settings = plan.Settings(
    raw_dir=str(raw_dir),
    data_dir=str(folder),
    protocol="clean",
    boxes=str(raw_dir / "boxes.json"),
    tokenizer=str(raw_dir / "tokenizer"),
    text_len=40,
    num_workers=1,
    **tiny_run.GEOMETRY,
  )
  prepare.prepare(settings)
  return folder


@pytest.fixture(scope="session")
def compiled_dir(tmp_path_factory) -> pathlib.Path:
  """Where end-to-end tests keep what they have compiled, of all workers."""
  folder = tmp_path_factory.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    folder = folder.parent
  (folder / "compiled").mkdir(exist_ok=True)
  return folder / "compiled"


@pytest.fixture(scope="module")
def fast_compilation(compiled_dir) -> None:
  """Makes the runs of a module start quickly."""
  with tiny_run.fast_compilation(compiled_dir):
    yield


@pytest.fixture(scope="session")
def finished(data_dir, compiled_dir, tmp_path_factory) -> tiny_run.Finished:
  """A run of a model that looks at everything. Only to be read."""
  from ifa_jax import experiment, train

  built = experiment.build(tiny_run.tiny_run_config(data_dir))
  workdir = tmp_path_factory.mktemp("finished") / "run"
  with tiny_run.fast_compilation(compiled_dir):
    train.run(built, str(workdir))
  return tiny_run.Finished(built, workdir)


@pytest.fixture
def build(data_dir):
  """Builds the tiny experiment with some settings changed."""
  from ifa_jax import experiment

  def make(**changes):
    return experiment.build(tiny_run.tiny_run_config(data_dir, **changes))

  return make
