"""Shared by end-to-end tests: a generated dataset and a finished run on it."""

import ast
import gc
import json
import os
import pathlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

# Compiling takes most of the suite's time, and running tiny models none. Set
# before JAX is loaded, for the processes that tests start as well;
# `test_parity` has code that is compiled as users have it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# XLA's older code for fusions computes the same and compiles in a third of the
# time; so does one module where there are no cores for more. jaxlib 0.12 has no
# older code, and ends a process that asks for it.
os.environ["XLA_FLAGS"] = " ".join(
  [
    *os.environ.get("XLA_FLAGS", "").split(),
    "--xla_cpu_use_fusion_emitters=false"
    if metadata.version("jaxlib").startswith("0.10.")
    else "",
    "--xla_cpu_parallel_codegen_split_count=1",
  ]
)
# Nothing goes to the user's cache folder; `fast_compilation` has its own.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import filelock
import pytest

# The slowest tests begin first, so that no worker waits for another.
_LONG = ("kill", "processes", "parity", "scan", "system_runs", "table2")


# Fixtures that prepare a dataset, or compile and train models.
_SLOW_FIXTURES = {"compiled_dir", "data_dir", "fast_compilation", "finished"}
# Folders whose tests have a marker of their name.
_MARKED_FOLDERS = ("fuzz", "multiprocess")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
  """Keeps the garbage collector out of all that the test files import."""
  from ifa_jax.runtime import optional_imports

  with optional_imports.uncollected():
    found = yield
  # Tracing a model makes hundreds of thousands of objects that stay: by default
  # every 700 of them are looked through, and all every few seconds.
  gc.set_threshold(10_000)
  return found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items) -> None:
  """Marks tests by their folders and fixtures; puts the longest files first."""
  for item in items:
    if _SLOW_FIXTURES & {*item.fixturenames}:
      item.add_marker(pytest.mark.slow)
    if (folder := item.path.parent.name) in _MARKED_FOLDERS:
      item.add_marker(folder)
    skips = item.iter_markers("skipif")
    if any("chromium" in skip.kwargs.get("reason", "") for skip in skips):
      item.add_marker(pytest.mark.browser)
  rank = {f"test_{name}": i for i, name in enumerate(_LONG)}
  items.sort(key=lambda item: rank.get(item.path.stem, len(_LONG)))


def pytest_addoption(parser) -> None:
  """Adds `--thorough`, for tests that are too slow for each change."""
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
def common_dir(tmp_path_factory) -> pathlib.Path:
  """The folder that all workers share."""
  folder = tmp_path_factory.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    folder = folder.parent
  return folder


def make_once(folder: pathlib.Path, make: Callable[[pathlib.Path], Any]):
  """Returns a folder that one worker fills, and the others wait for."""
  with filelock.FileLock(f"{folder}.lock"):
    if not folder.exists():
      make(folder)
  return folder


@pytest.fixture(scope="session")
def raw_dir(common_dir) -> pathlib.Path:
  """A raw tree of generated posts, with boxes and tokenizer."""
  import tiny_run

  from ifa_jax.preparation.quickstart import command

  return make_once(
    common_dir / "raw",
    lambda folder: command.generate(folder, tiny_run.NUM_ROWS),
  )


@pytest.fixture(scope="session")
def scenes_dir(raw_dir) -> pathlib.Path:
  """Scenes of the tree's boxes file. Only to be read."""
  import own_runs

  return make_once(
    raw_dir.parent / "scenes",
    lambda folder: own_runs.make_scenes(raw_dir, folder),
  )


@pytest.fixture(scope="session")
def posts(raw_dir) -> list[dict[str, Any]]:
  """The tree's test rows as your own posts, with boxes and captions."""
  boxes = json.loads((raw_dir / "boxes.json").read_text())
  captions = json.loads((raw_dir / "captions.json").read_text())
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
      "caption": captions[row["img_id"]],
    }
    for i, row in enumerate(map(ast.literal_eval, text.splitlines()), start=1)
  ]


@pytest.fixture(scope="session")
def data_dir(raw_dir) -> pathlib.Path:
  """The tree's dataset, prepared under the protocol clean."""
  import tiny_run

  from ifa_jax.preparation.mnre import prepare

  settings = tiny_run.dataset_settings(raw_dir, raw_dir.parent / "data")
  return make_once(raw_dir.parent / "data", lambda _: prepare.prepare(settings))


@pytest.fixture(scope="session")
def compiled_dir(common_dir) -> pathlib.Path:
  """The compilation cache of all workers' end-to-end tests."""
  (common_dir / "compiled").mkdir(exist_ok=True)
  return common_dir / "compiled"


@pytest.fixture(scope="module")
def fast_compilation(compiled_dir) -> None:
  """Makes the runs of a module start quickly."""
  import tiny_run

  with tiny_run.fast_compilation(compiled_dir):
    yield


@pytest.fixture(scope="session")
def finished(data_dir, compiled_dir, tmp_path_factory):
  """A run of a model that looks at everything. Only to be read."""
  import tiny_run

  from ifa_jax.training import loop

  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  workdir = tmp_path_factory.mktemp("finished") / "run"
  with tiny_run.fast_compilation(compiled_dir):
    loop.run(built, str(workdir))
  return tiny_run.Finished(built, workdir)


@pytest.fixture(scope="session")
def predictor(finished):
  """Of the finished run, without a finder. Only to be read."""
  from ifa_jax.inference.predictor import Predictor

  return Predictor(finished.workdir)


@pytest.fixture(scope="session")
def table_dir(data_dir, compiled_dir, common_dir) -> pathlib.Path:
  """The runs of a table of two variants. Only to be read."""
  import tiny_run
  import tiny_table

  with tiny_run.fast_compilation(compiled_dir):
    return make_once(
      common_dir / "table2", lambda folder: tiny_table.train(data_dir, folder)
    )


@pytest.fixture
def build(data_dir):
  """Builds the tiny experiment with some settings changed."""
  import tiny_run

  def make(**changes):
    return tiny_run.build(tiny_run.tiny_run_config(data_dir, **changes))

  return make
