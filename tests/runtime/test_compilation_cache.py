"""Commands keep compiled code; other settings do not change."""

import importlib
import os
import pathlib
import sys

import command_lines
import jax
import platformdirs
import pytest

from ifa_jax.runtime import compilation_cache

FOLDER, SWITCH = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
SIZE = "JAX_COMPILATION_CACHE_MAX_SIZE"
SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"

LINE = ["tests/support/scripts/compiling_command.py"]


@pytest.fixture(scope="module", name="home")
def cache_home(tmp_path_factory):
  return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_commands(home):
  return command_lines.run_all(
    {"first": LINE, "second": LINE},
    loaded=["jax"],
    environment={"XDG_CACHE_HOME": str(home), SWITCH: "true", SECONDS: "0"},
  )


def test_a_command_loads_code_that_an_earlier_one_compiled(outcomes):
  first, second = outcomes["first"], outcomes["second"]
  assert (first.status, first.out, first.err) == (0, "0\n", "")
  assert second.status == 0
  assert int(second.out) >= 1
  assert second.err == ""


def test_it_is_in_the_users_cache_folder_for_this_cpu(outcomes, home):
  (folder,) = (home / "ifa_jax").iterdir()
  assert folder.name == compilation_cache.default_folder().name
  assert any(path.name.startswith("jit_") for path in folder.iterdir())


@pytest.fixture(name="environment")
def fresh_environment(monkeypatch, tmp_path):
  """No setting of JAX's cache, JAX not loaded, and a cache folder of its own.

  All are put back afterwards.
  """
  for name in (FOLDER, SWITCH, SIZE, SECONDS):
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
  monkeypatch.delitem(sys.modules, "jax")
  monkeypatch.setattr(
    platformdirs, "user_cache_path", lambda name: tmp_path / "caches" / name
  )
  return monkeypatch


def test_the_folder_is_created_and_limited(environment):
  compilation_cache.keep_executables()
  folder = pathlib.Path(os.environ[FOLDER])
  assert folder == compilation_cache.default_folder()
  assert folder.is_dir()
  assert int(os.environ[SIZE]) == 500_000_000
  assert float(os.environ[SECONDS]) == 0.05


def test_a_users_folder_has_no_limit_of_ours(environment):
  environment.setenv(FOLDER, "elsewhere")
  environment.setenv(SECONDS, "2")
  compilation_cache.keep_executables()
  assert os.environ[FOLDER] == "elsewhere"
  assert os.environ[SECONDS] == "2"
  assert SIZE not in os.environ
  assert not compilation_cache.default_folder().exists()


@pytest.mark.parametrize("switch", ["0", "false", "False", "off"])
def test_it_can_be_switched_off(environment, switch):
  environment.setenv(SWITCH, switch)
  compilation_cache.keep_executables()
  assert FOLDER not in os.environ
  assert not compilation_cache.default_folder().exists()


def test_an_unwritable_folder_is_logged(environment, tmp_path, caplog):
  (tmp_path / "caches").write_text("a file")
  caplog.set_level("INFO", "ifa_jax")
  compilation_cache.keep_executables()
  assert FOLDER not in os.environ
  (record,) = caplog.records
  assert str(tmp_path / "caches") in record.message


def test_a_full_disk_is_logged(environment, caplog):
  used = type("Usage", (), {"free": 1_000})
  environment.setattr(compilation_cache.shutil, "disk_usage", lambda _: used)
  caplog.set_level("INFO", "ifa_jax")
  compilation_cache.keep_executables()
  assert FOLDER not in os.environ
  assert "expected 500000000 bytes free, got 1000" in caplog.text


def test_files_of_a_killed_process_are_removed(environment):
  folder = compilation_cache.default_folder()
  folder.mkdir(parents=True)
  for name in ("jit_whole-1-cache", "jit_whole-1-atime", "jit_half-2-cache"):
    (folder / name).write_bytes(b"x")
  compilation_cache.keep_executables()
  left = {path.name for path in folder.iterdir()} - {".lockfile"}
  assert left == {"jit_whole-1-cache", "jit_whole-1-atime"}


def test_another_cpu_has_another_folder(tmp_path):
  known = tmp_path / "cpuinfo"

  def describe(flags, mhz="2100"):
    rows = f"model\t: 207\ncpu MHz\t: {mhz}\nflags\t: {flags}\n"
    known.write_text(f"processor\t: 0\n{rows}\nprocessor\t: 1\n{rows}\n")
    return compilation_cache.describe_cpu(str(known))

  assert describe("fma avx2") == describe("avx2 fma", mhz="3000")
  assert describe("fma avx2") != describe("fma avx2 avx512f")
  assert "avx" not in compilation_cache.describe_cpu(str(tmp_path / "none"))


def test_the_library_changes_no_setting_of_jax(finished):
  before = dict(jax.config.values)
  import ifa_jax

  ifa_jax.Predictor(finished.workdir)
  assert dict(jax.config.values) == before
  assert FOLDER not in os.environ


@pytest.mark.parametrize(
  "name",
  [
    "ifa_jax.launch",
    "ifa_jax.predict",
    "ifa_jax.serve",
    "ifa_jax.analyze.alignment.command",
    "ifa_jax.analyze.shuffle.command",
    "ifa_jax.analyze.table2.command",
  ],
)
def test_every_command_that_runs_models_keeps_compiled_code(name):
  assert importlib.import_module(name).COMPILES
