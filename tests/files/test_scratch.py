"""Hidden folders live as long as their process."""

import contextlib
import multiprocessing
import os
import signal

import pytest

from ifa_jax.files import scratch


def write_and_wait(parent, pipe):
  with scratch.folder(parent, ".making-") as folder:
    with open(os.path.join(folder, "half"), "w", encoding="utf-8"):
      pipe.send(folder)
    signal.pause()


@contextlib.contextmanager
def process_that_writes(parent):
  """Starts a process; gives it and its folder."""
  context = multiprocessing.get_context("spawn")
  here, there = context.Pipe()
  process = context.Process(target=write_and_wait, args=(parent, there))
  process.start()
  try:
    yield process, here.recv()
  finally:
    process.kill()
    process.join()


def test_a_folder_is_deleted_afterwards(tmp_path):
  with scratch.folder(tmp_path, ".making-") as folder:
    assert os.path.dirname(folder) == str(tmp_path)
    assert os.listdir(tmp_path) == [os.path.basename(folder)]
  assert os.listdir(tmp_path) == []


def test_a_folder_is_deleted_after_an_error(tmp_path):
  with pytest.raises(KeyError), scratch.folder(tmp_path, ".making-"):
    raise KeyError
  assert os.listdir(tmp_path) == []


def test_moved_files_are_kept(tmp_path):
  with scratch.folder(tmp_path, ".making-") as folder:
    os.mkdir(os.path.join(folder, "new"))
    os.rename(os.path.join(folder, "new"), tmp_path / "new")
  assert os.listdir(tmp_path) == ["new"]


def test_only_folders_of_ended_processes_are_deleted(tmp_path):
  (tmp_path / ".other").mkdir()
  with process_that_writes(tmp_path) as (alive, folder):
    with scratch.folder(tmp_path, ".making-") as own:
      assert os.path.exists(os.path.join(folder, "half"))
      assert own != folder
    alive.kill()
    alive.join()
    assert os.path.exists(os.path.join(folder, "half"))
    with scratch.folder(tmp_path, ".making-"):
      assert not os.path.exists(folder)
  assert os.listdir(tmp_path) == [".other"]


def test_a_folder_without_a_lock_is_deleted(tmp_path):
  (tmp_path / ".making-1").mkdir()
  with scratch.folder(tmp_path, ".making-"):
    assert not (tmp_path / ".making-1").exists()
