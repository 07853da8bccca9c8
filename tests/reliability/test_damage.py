"""Checkpoints that were damaged on disk, and disks that take no more."""

import json
import logging
import os
import pathlib
import shutil
import subprocess

import pytest
import tiny_run
import whole_run

from ifa_jax.files import checksums
from ifa_jax.training import evaluation, loop
from ifa_jax.training.metric_writer import Meter
from ifa_jax.workdir import checkpoints
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module")
def stopped(data_dir, fast_compilation, tmp_path_factory):
  """A run that was stopped before scores of step 8; it has steps 4 and 6."""

  folder = tmp_path_factory.mktemp("stopped") / "run"
  built = tiny_run.build(tiny_run.tiny_run_config(data_dir))
  whole_run.run_until_stopped(built, folder, loop.Trainer, "_score_dev", 2)
  return folder


@pytest.fixture
def run(stopped, tmp_path):
  """A copy of it."""
  shutil.copytree(stopped, tmp_path / "run")
  return tmp_path / "run"


def steps(run):
  return sorted(p.name for p in (run / "checkpoints").iterdir())


def files(run, step):
  folder = run / "checkpoints" / str(step)
  return sorted(p for p in folder.rglob("*") if p.is_file())


def flip(path, place=0.5):
  data = bytearray(path.read_bytes())
  data[int(place * (len(data) - 1))] ^= 0x10
  path.write_bytes(data)


def check_ends_as(finished, run):
  for found, wanted in zip(
    whole_run.outcome(run), whole_run.outcome(finished.workdir), strict=True
  ):
    assert found == wanted


def test_any_flipped_byte_is_found(run, thorough):
  folder = run / "checkpoints" / "6"
  assert checksums.damage(folder) is None
  places = [i / 40 for i in range(41)] if thorough else (0, 0.3, 0.7, 1)
  listed = json.loads((folder / checksums.FILE).read_text())
  for path in files(run, 6):
    # Orbax's sign that a folder is whole comes last, and is empty.
    if path.name == "commit_success.txt":
      continue
    before = path.read_bytes()
    for place in places if before else ():
      flip(path, place)
      found = checksums.damage(folder)
      assert found is not None
      assert path.name == checksums.FILE or str(path) in found
      path.write_bytes(before)
    path.unlink()
    assert checksums.damage(folder) == f"{path}: No such file or directory"
    path.write_bytes(before[: len(before) // 2] + b"\n")
    assert checksums.damage(folder) is not None
    path.write_bytes(before)
  assert checksums.damage(folder) is None
  assert len(listed) > 5


@pytest.mark.parametrize(
  "listed",
  ["5", "null", "[1, 2]", '[["a", "b"]]', "[" * 100_000, '{"\\u0000": 1}'],
)
def test_checksums_of_another_form_are_damage(tmp_path, listed):
  path = tmp_path / checksums.FILE
  path.write_text(listed)
  found = checksums.damage(tmp_path)
  assert found is not None
  assert found.startswith(f"{path}: ")
  assert "\n" not in found
  assert found.count(str(path)) == 1


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_it(
  run, build, finished, caplog
):
  largest = max(files(run, 6), key=lambda path: path.stat().st_size)
  flip(largest)
  assert steps(run) == ["4", "6"]
  with caplog.at_level(logging.INFO, "ifa_jax"):
    loop.run(build(), run)
  (warning,) = (r.getMessage() for r in caplog.records if "WARN" in r.message)
  assert f"checkpoint 6 is damaged ({largest}: expected CRC32C" in warning
  assert "Resuming from step 4" in caplog.text
  check_ends_as(finished, run)
  kept = run / "checkpoints" / "6.damaged"
  assert kept / largest.relative_to(run / "checkpoints" / "6") in (
    *kept.rglob("*"),
  )


@pytest.mark.parametrize(
  "name", ["crc32c.json", "_METADATA", "_CHECKPOINT_METADATA"]
)
def test_a_checkpoint_that_lacks_a_file_is_damaged(run, build, name):
  for path in files(run, 6):
    if path.name == name:
      path.unlink()
  checkpoints.recover(run / "checkpoints")
  assert steps(run) == ["4", "6.damaged"]


def test_nothing_is_changed_where_all_checkpoints_are_damaged(run, build):
  for step in (4, 6):
    flip(max(files(run, step), key=lambda path: path.stat().st_size))
  before = whole_run.snapshot(run)
  with pytest.raises(
    ValueError, match=r"got only damaged ones: .*checkpoints/6/"
  ):
    loop.run(build(), run)
  assert whole_run.snapshot(run) == before


def test_a_damaged_best_checkpoint_is_not_scored(finished, build, tmp_path):
  run = tmp_path / "run"
  shutil.copytree(finished.workdir, run)
  step = json.loads((run / "eval_test.json").read_text())["step"]
  largest = max(files(run, step), key=lambda path: path.stat().st_size)
  flip(largest)
  with pytest.raises(
    ValueError, match=f"checkpoint {step} is damaged: {largest}"
  ):
    evaluation.run(build(), RunFolder(run), "test")


def test_damaged_scores_of_a_checkpoint_are_named(run, build):
  (scores,) = (p for p in files(run, 4) if p.name == "metrics")
  before = scores.read_text()
  for change, message in (
    (("{", "["), "checkpoints: scores cannot be read"),
    (
      ('"f1": 0', '"f1": 1'),
      f"4 is damaged: {scores}: expected CRC32C",
    ),
  ):
    scores.write_text(before.replace(*change))
    assert scores.read_text() != before
    with pytest.raises(ValueError, match=message):
      evaluation.run(build(), RunFolder(run), "test")


def test_a_second_run_does_not_come_between(run, build):
  with (
    RunFolder(run).held(),
    pytest.raises(ValueError, match="another process is training there"),
  ):
    loop.run(build(), run)


def test_a_line_that_was_cut_off_comes_again(run, build, finished):
  metrics = run / "metrics.jsonl"
  metrics.write_bytes(metrics.read_bytes()[:-9])
  loop.run(build(), run)
  check_ends_as(finished, run)


# Disks. They are mounted, which wants a superuser.


@pytest.fixture
def disk(tmp_path):
  """A file system in memory, with room for a run and not much more."""
  folder = tmp_path / "disk"
  folder.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder]
  done = subprocess.run(mount, capture_output=True, check=False)
  if done.returncode:
    pytest.skip("want to mount a small file system, found no right to")
  yield folder
  subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
  """Leaves room for some lines, but for no other checkpoint."""
  free = os.statvfs(disk)
  with open(disk / "filler", "wb") as file:
    file.write(bytes(free.f_bavail * free.f_bsize - (1 << 15)))


def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(
  disk, build, finished
):
  run, add = disk / "run", Meter.add
  with pytest.MonkeyPatch.context() as patched:
    calls = []

    def filling(*args):
      calls.append(args)
      if len(calls) == 5:
        fill(disk)
      return add(*args)

    patched.setattr(Meter, "add", filling)
    with pytest.raises((ValueError, OSError)) as full:
      loop.run(build(), run)
  assert "\n" not in str(full.value)
  assert "No space left" in str(full.value)
  (disk / "filler").unlink()
  loop.run(build(), run)
  check_ends_as(finished, run)


def test_a_disk_that_takes_nothing_is_told(disk, run, build):
  shutil.copytree(run, disk / "run")
  subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
  for workdir in (disk / "run", disk / "new"):
    with pytest.raises(OSError, match="Read-only file system") as found:
      loop.run(build(), workdir)
    assert str(pathlib.Path(os.fspath(found.value.filename))).startswith(
      str(workdir)
    )
