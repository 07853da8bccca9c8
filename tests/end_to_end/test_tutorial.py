"""The tutorial runs from its first cell to its last, in small sizes."""

import os
import pathlib
import sys

import command_lines
import jupytext
import nbclient
import nbformat
import pytest
import tiny_run

TUTORIAL = command_lines.ROOT / "docs" / "tutorial.ipynb"
SMALL = """
NUM_TRAIN, NUM_DEV, NUM_TEST = 40, 13, 17
TRAINING = (
  "--config.train.max_steps=2"
  " --config.model.text.num_layers=1 --config.model.vision.num_layers=1"
)
"""


@pytest.fixture(scope="module", name="cells")
def executed_cells(compiled_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp("tutorial")
  notebook = nbformat.read(TUTORIAL, as_version=4)
  (parameters,) = [
    cell
    for cell in notebook.cells
    if "parameters" in cell.metadata.get("tags", [])
  ]
  parameters.source += SMALL
  commands = f"{pathlib.Path(sys.executable).parent}{os.pathsep}"
  environment = {
    **os.environ,
    **tiny_run.fast_environment(compiled_dir),
    "PATH": commands + os.environ["PATH"],
  }
  client = nbclient.NotebookClient(
    notebook, resources={"metadata": {"path": str(folder)}}
  )
  client.execute(env=environment)
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
  return "".join(x.get("text", "") for x in cell.outputs)


def test_no_command_fails(cells):
  for cell in cells:
    assert "RuntimeWarning" not in printed(cell), cell.source
    assert "error: " not in printed(cell), cell.source


def test_each_step_shows_its_result(cells):
  shown = {cell.source.splitlines()[0]: printed(cell) for cell in cells}
  by_start = lambda start: next(  # noqa: E731
    text for line, text in shown.items() if line.startswith(start)
  )
  assert "Prepared: protocol clean" in by_start("!ifa-prepare quickstart")
  trained = by_start("!ifa-train")
  assert "Run folder: runs/quickstart/objects" in trained
  assert "Test scores of" in trained
  assert "without the picture: " in by_start("import ifa_jax")
  assert "shuffle(test)" in by_start("!COLUMNS=120 ifa-analyze shuffle")
  assert "'index.html'" in by_start("!ifa-analyze alignment")


def test_its_text_form_is_the_same():
  paired = jupytext.read(TUTORIAL.with_suffix(".py"))
  notebook = nbformat.read(TUTORIAL, as_version=4)
  assert [(x.cell_type, x.source) for x in notebook.cells] == [
    (x.cell_type, x.source) for x in paired.cells
  ]
  assert not any(cell.get("outputs") for cell in notebook.cells)
