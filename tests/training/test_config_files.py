"""Configs by path and by name, and the folder that a run takes from them."""

import pytest

from ifa_jax import launch
from ifa_jax.training.config import files


def test_a_name_stands_for_the_file_that_the_package_brings():
  path = files.find("mnre")
  assert path.endswith("configs/mnre.py")
  assert files.names() == ["minilm", "mnre", "quickstart"]
  assert files.find("configs/mnre.py") == "configs/mnre.py"
  assert files.find("nowhere") == "nowhere"


def test_a_file_of_the_users_wins_and_a_folder_does_not(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "quickstart").mkdir()
  assert files.find("quickstart").endswith("quickstart.py")
  (tmp_path / "mnre").touch()
  assert files.find("mnre") == "mnre"


@pytest.mark.parametrize(
  ("given", "folder"),
  [
    ("mnre", "runs/mnre/objects"),
    ("configs/mnre.py", "runs/mnre/objects"),
    ("configs/mnre.py:tiny", "runs/mnre/tiny"),
    ("configs/quickstart.py:text", "runs/quickstart/text"),
  ],
)
def test_a_run_without_a_folder_is_named_by_its_config(given, folder):
  assert files.default_workdir(given) == folder


def test_a_config_without_variants_has_one_folder(tmp_path):
  file = tmp_path / "mine.py"
  file.write_text("def get_config():\n  return None\n")
  assert files.default_workdir(str(file)) == "runs/mine"


def test_a_file_without_a_config_is_refused(tmp_path):
  (tmp_path / "empty.py").touch()
  with pytest.raises(ValueError, match=r"empty\.py: expected a function get"):
    files.load(str(tmp_path / "empty.py"))
  with pytest.raises(ValueError, match="one of minilm, mnre, quickstart, got"):
    files.load("nowhere.py")


@pytest.mark.parametrize(
  "arguments", [["--config=mnre:tiny"], ["--config", "mnre:tiny"]]
)
def test_a_flag_may_name_a_config(arguments):
  *_, last = launch._with_config_files(["--x=mnre", *arguments])
  assert last.removeprefix("--config=") == f"{files.find('mnre')}:tiny"
