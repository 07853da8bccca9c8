"""Predictions of runs as one archive."""

import json
import subprocess
import tarfile
import types

import pytest

from ifa_jax.analyze.pack import command as pack
from ifa_jax.statistics import predictions

LINE = {
  "id": "test/1",
  "gold": "None",
  "pred": "/per/org/member_of",
  "probability": 0.5,
  "protocol": "clean",
  "text": "Ana joins Acme",
  "head": "Ana",
  "img_id": "a.jpg",
  "probabilities": {"None": 0.5},
}


@pytest.fixture(name="workdir")
def folder_of_two_runs(tmp_path):
  for name in ("a/seed_1", "b"):
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    text = "".join(json.dumps(LINE | {"id": i}) + "\n" for i in range(3))
    (folder / "predictions_test.jsonl").write_text(text)
    (folder / "config.json").write_text("{}")
  return tmp_path / "runs"


def test_an_archive_has_all_that_compare_reads_and_no_text(workdir, tmp_path):
  files = dict(pack.reduced(str(workdir)))
  pack.write(str(tmp_path / "x.tar.gz"), files)
  with tarfile.open(tmp_path / "x.tar.gz") as archive:
    archive.extractall(tmp_path / "out", filter="data")
  names = ["a/seed_1/predictions_test.jsonl", "b/predictions_test.jsonl"]
  assert [*files] == names
  for name in names:
    found, own = (
      predictions.read(str(folder / name), "test")
      for folder in (tmp_path / "out", workdir)
    )
    assert found.protocol == own.protocol
    for row, line in own.lines.items():
      lost = {"text", "head", "probabilities"}
      wanted = {key: line[key] for key in line.keys() - lost}
      assert found.lines[row] == wanted


def test_equal_predictions_give_an_equal_archive(workdir, tmp_path):
  for name in ("x.tar.gz", "y.tar.gz"):
    pack.write(str(tmp_path / name), dict(pack.reduced(str(workdir))))
  x, y = ((tmp_path / name).read_bytes() for name in ("x.tar.gz", "y.tar.gz"))
  assert x == y


def test_checksums_are_those_that_sha256sum_checks(workdir, tmp_path):
  files = dict(pack.reduced(str(workdir)))
  for name, content in files.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
  (tmp_path / "sums").write_text(pack.checksums(files))
  command = ["sha256sum", "--check", "--quiet", "sums"]
  assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
  (tmp_path / "b" / "predictions_test.jsonl").write_text("")
  checked = subprocess.run(
    command, cwd=tmp_path, check=False, capture_output=True
  )
  assert checked.returncode == 1


@pytest.fixture(name="command")
def command_on_the_runs(workdir, tmp_path, monkeypatch):
  def call(**values):
    given = {"workdir": str(workdir), "checksums": None} | values
    found = types.SimpleNamespace(FLAGS=types.SimpleNamespace(**given))
    monkeypatch.setattr(pack, "flags", found)
    pack.main([])

  return call


def test_folders_are_made(command, tmp_path):
  out, sums = tmp_path / "a" / "x.tar.gz", tmp_path / "b" / "c" / "sums"
  command(out=str(out), checksums=str(sums))
  assert out.stat().st_size
  assert len(sums.read_text().splitlines()) == 2


def test_a_folder_that_cannot_be_made_is_an_error_before_the_work(
  command, tmp_path
):
  (tmp_path / "file").touch()
  for name in ("out", "checksums"):
    given = {"out": str(tmp_path / "x")} | {name: str(tmp_path / "file" / "x")}
    with pytest.raises(OSError, match="file"):
      command(workdir=str(tmp_path / "nowhere"), **given)


def test_a_folder_without_predictions_is_refused(tmp_path):
  with pytest.raises(ValueError, match="got no file"):
    dict(pack.reduced(str(tmp_path)))


def test_a_line_that_is_no_object_is_refused(workdir):
  path = workdir / "b" / "predictions_test.jsonl"
  path.write_text("[]\n")
  with pytest.raises(ValueError, match="line 1: expected a JSON object"):
    dict(pack.reduced(str(workdir)))
