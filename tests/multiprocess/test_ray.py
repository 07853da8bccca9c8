"""Work by Ray on this machine gives the bytes of one process."""

import json
import logging
import os
import pathlib
import sys
import threading
import time
import types

import psutil
import pyarrow as pa
import pytest
import raw_tree
import tiny_run
from pyarrow import parquet

from ifa_jax import predict
from ifa_jax.cluster import connection
from ifa_jax.inference.blocks import command, worker
from ifa_jax.inference.predictor import Predictor
from ifa_jax.preparation.mnre import prepare
from ifa_jax.preparation.per_picture import pictures, reading, work

pytestmark = pytest.mark.usefixtures("fast_compilation")

POST = {"text": "Ann Lee joins Acme .", "head": "Ann Lee", "tail": "Acme"}
PAIRS = {
  "text": "Ann Lee joins Acme in Rome",
  "entities": [{"start": i, "end": j} for i, j in ((0, 7), (14, 18), (22, 26))],
}


@pytest.fixture(scope="module", autouse=True)
def two_workers(compiled_dir):
  """Starts Ray once, with two cores even where there is one."""
  ray = connection._import()
  with pytest.MonkeyPatch.context() as patch:
    for name, value in tiny_run.fast_environment(compiled_dir).items():
      patch.setenv(name, value)
    patch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    # Workers import from where this process does.
    patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    connection._init(ray, "local")
    yield
    ray.shutdown()


@pytest.fixture(scope="module", name="folder")
def folder_of_posts(posts, tmp_path_factory):
  """Files of which some posts have pictures, pairs or errors."""
  folder = tmp_path_factory.mktemp("ray") / "posts"
  folder.mkdir()
  lines = [json.dumps(post) for post in posts * 2]
  lines[5:5] = ["", "{", json.dumps(PAIRS), json.dumps(POST | {"image": "no"})]
  (folder / "a.jsonl").write_text("\n".join(lines))
  (folder / "b.jsonl").write_text(f"{json.dumps(POST)}\n[]\n" * 7)
  table = pa.Table.from_pylist([POST | {"id": i} for i in range(5)])
  parquet.write_table(table, folder / "c.parquet")
  return folder


@pytest.fixture(scope="module", name="wanted")
def records_of_one_process(folder, finished, fast_compilation):
  """The bytes of all records of a file of lines, by its name."""
  predictor, target = Predictor(finished.workdir), folder.parent / "one.jsonl"
  found = {}
  for name in ("a", "b"):
    predict.predict_file(
      predictor, str(folder / f"{name}.jsonl"), str(target), 4
    )
    found[name] = target.read_bytes()
  return found


@pytest.fixture(name="run")
def run_with_flags(folder, finished, tmp_path):
  def make(**changes):
    flags = dict.fromkeys(command._FLAGS) | {
      "workdir": str(finished.workdir),
      "captions": [],
      "threshold": "0",
      "symmetric": [],
      "probabilities": False,
      "batch_size": 4,
      "block_posts": 9,
      "format": "jsonl",
      "input": str(folder),
      "output": str(tmp_path / "out"),
    }
    command.run(types.SimpleNamespace(**flags | changes), "local")

  return make


def read(folder, name):
  files = sorted(pathlib.Path(folder).glob(f"{name}-*.jsonl"))
  return b"".join(path.read_bytes() for path in files)


def test_blocks_together_are_the_bytes_of_one_process(
  run, wanted, finished, tmp_path, capsys, monkeypatch
):
  run()
  out = tmp_path / "out"
  assert {name: read(out, name) for name in wanted} == wanted
  names = {path.name for path in out.iterdir()}
  assert names >= {"a-000000.jsonl", "a-000003.jsonl", "c-000000.parquet"}
  assert not any(name.startswith(".") for name in names)
  rows = parquet.read_table(out / "c-000000.parquet").to_pylist(
    maps_as_pydicts="strict"
  )
  (alone,) = Predictor(finished.workdir).predict_all([POST], 4)
  assert rows == [{**alone, "id": i, "error": None} for i in range(5)]
  assert capsys.readouterr().out == f"{out}: 56 posts, 9 of them invalid\n"

  # The second time there is nothing to do, not even to connect.
  monkeypatch.setattr(connection, "opened", None)
  run()
  assert "0 posts, 0 of them invalid; 56 were there" in capsys.readouterr().out
  # A block that is missing is all that is done again.
  monkeypatch.undo()
  (out / "a-000001.jsonl").unlink()
  kept = (out / "a-000000.jsonl").stat().st_mtime_ns
  run()
  assert read(out, "a") == wanted["a"]
  assert (out / "a-000000.jsonl").stat().st_mtime_ns == kept
  assert f"{out}: 9 posts" in capsys.readouterr().out
  with pytest.raises(ValueError, match=r"--batch_size as before, 4, got 5"):
    run(batch_size=5)


def kill_when_written(folder, killed):
  """Kills an actor as soon as a block is there."""
  while not any(folder.glob("*-*.jsonl")):
    time.sleep(0.01)
  for process in psutil.Process().children(recursive=True):
    if "MapWorker" in " ".join(process.cmdline()):
      process.kill()
      killed.append(process.pid)
      return


def test_the_work_of_a_killed_worker_is_done_by_another(
  run, wanted, tmp_path, capsys
):
  killed = []
  thread = threading.Thread(
    target=kill_when_written, args=(tmp_path / "out", killed)
  )
  thread.start()
  run(block_posts=2)
  thread.join()
  assert len(killed) == 1
  assert capsys.readouterr().out.count("\n") == 1
  found = {name: read(tmp_path / "out", name) for name in wanted}
  assert found == wanted


def test_an_error_of_a_worker_is_one_line(run, tmp_path):
  (tmp_path / "boxes.json").write_text("[]")
  with pytest.raises(ValueError, match=r"boxes\.json: expected") as caught:
    run(boxes=str(tmp_path / "boxes.json"))
  assert "\n" not in str(caught.value)


@pytest.mark.silent_input
def test_records_of_another_checkpoint_or_file_are_not_continued(
  run, finished, tmp_path
):
  out, names = tmp_path / "out", ("boxes", "thresholds", "allowed")
  paths = {name: tmp_path / f"{name}.json" for name in names}
  for path in paths.values():
    path.write_text("{}")
  flags = {
    "boxes": str(paths["boxes"]),
    "threshold": str(paths["thresholds"]),
    "allowed": str(paths["allowed"]),
    "input": str(tmp_path / "none.jsonl"),
  }
  (tmp_path / "none.jsonl").touch()
  run(**flags)
  run(**flags)
  for path in paths.values():
    path.write_text("{} ")
    with pytest.raises(ValueError, match=f"sha256 of {path} as before, '"):
      run(**flags)
    path.write_text("{}")
  settings = json.loads((out / "settings.json").read_text())
  workdir, step = str(finished.workdir), settings["step"]
  assert {workdir} == step.keys() < settings["sha256"].keys()
  (out / "settings.json").write_text(
    json.dumps(settings | {"step": {workdir: 1}})
  )
  with pytest.raises(ValueError, match=f"as before, 1, got {step[workdir]};"):
    run(**flags)


@pytest.mark.silent_input
def test_a_worker_refuses_a_newer_checkpoint(finished):
  options = {"workdir": str(finished.workdir), "model": None}
  options |= dict.fromkeys(("detector", "grounder"))
  with pytest.raises(ValueError, match="at step 1, got step"):
    worker.load(options, 1)


def load_sizes():
  """A model that returns a picture's width and its names."""
  logging.getLogger("ifa_jax").warning("%d sizes", 2)
  return reading.Work(
    "boxes",
    lambda opened, names: [
      [p.width, *n] for p, n in zip(opened, names, strict=True)
    ],
    2,
    {"threshold": 0.5},
  )


def test_pictures_are_read_as_by_one_process(tmp_path, caplog, monkeypatch):
  images = tmp_path / "images"
  images.mkdir()
  for i in range(5):
    content = raw_tree.jpeg(64 + 8 * (i % 2), 48, seed=i)
    (images / f"{i}.jpg").write_bytes(content)
  (images / "bad.jpg").write_bytes(b"no picture")
  listed = [
    picture._replace(names=("Ann",)) for picture in pictures.read_folder(images)
  ]
  one, many = tmp_path / "one.json", tmp_path / "many.json"
  alone = work.produce(listed, str(one), load_sizes)
  caplog.clear()
  found = work.produce(listed, str(many), load_sizes, "local")
  assert many.read_bytes() == one.read_bytes()
  assert (found.num_new, alone.num_new) == (6, 6)
  # Two workers and the one that was asked for settings warned.
  warned = [x.getMessage() for x in caplog.records if x.levelname == "WARNING"]
  assert 1 <= warned.count("2 sizes") <= 2
  # The picture that could not be read is tried again.
  assert work.produce(listed, str(many), load_sizes, "local").num_new == 1


def test_a_dataset_is_the_same_bytes(raw_dir, data_dir, tmp_path):
  prepare.prepare(tiny_run.dataset_settings(raw_dir, tmp_path), "local")
  found, wanted = (
    {
      path.relative_to(folder): path.read_bytes()
      for path in pathlib.Path(folder).rglob("*")
      if path.is_file()
    }
    for folder in (tmp_path, data_dir)
  )
  assert found == wanted
