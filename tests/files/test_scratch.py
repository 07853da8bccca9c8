"""Hidden folders live as long as their process."""

import contextlib
import errno
import fcntl
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


@pytest.mark.parametrize("code", scratch.NO_LOCKS)
def test_a_file_system_without_locks(tmp_path, monkeypatch, code):
  """Nothing shows whether another's folder is in use, so it stays."""

  def refuse(*_):
    raise OSError(code, os.strerror(code))

  monkeypatch.setattr(fcntl, "flock", refuse)
  (tmp_path / ".making-1").mkdir()
  with scratch.folder(tmp_path, ".making-") as folder:
    assert os.path.isdir(folder)
  assert os.listdir(tmp_path) == [".making-1"]


def test_other_errors_of_locks_are_reported(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError(errno.EIO, "Input/output error")

  monkeypatch.setattr(fcntl, "flock", fail)
  with (
    pytest.raises(OSError, match="Input/output"),
    scratch.folder(tmp_path, ".making-"),
  ):
    pass


def test_a_folder_of_another_user_is_kept(tmp_path, monkeypatch):
  other = tmp_path / ".making-1"
  other.mkdir()
  open_lock = scratch._open_lock

  def refuse(path):
    if path == str(other):
      raise PermissionError(errno.EACCES, "Permission denied")
    return open_lock(path)

  monkeypatch.setattr(scratch, "_open_lock", refuse)
  with scratch.folder(tmp_path, ".making-"):
    assert other.exists()
