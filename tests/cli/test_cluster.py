"""`--ray`: an address, or none; every mistake is one line."""

import json
import sys

import command_lines
import pytest
from absl import flags
from ports import free_port

from ifa_jax.cluster import connection
from ifa_jax.inference.blocks import command


@pytest.mark.parametrize(
  ("words", "wanted"),
  [
    ([], None),
    (["--ray", "--noray"], None),
    (["--ray"], "local"),
    (["--ray=auto"], "auto"),
    (["--ray=head:6379"], "head:6379"),
  ],
)
def test_the_flag_needs_no_value(words, wanted, monkeypatch):
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)
  monkeypatch.setattr(
    flags, "DEFINE_flag", lambda flag: values.__setitem__(flag.name, flag)
  )
  connection.define_flag()
  assert values(["command", *words, "word"]) == ["command", "word"]
  assert values.ray == wanted
  with pytest.raises(flags.IllegalFlagValueError, match="expected --ray"):
    values(["command", "--ray="])


def test_without_ray_the_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, "ray.data", None)
  with (
    pytest.raises(ValueError, match=r"--ray: .* pip install \"\.\[ray\]\""),
    connection.opened("local"),
  ):
    pass


@pytest.mark.parametrize("form", ["{}:{}", "ray://{}:{}"])
def test_an_address_where_nothing_listens_is_one_line(form):
  where = form.format("localhost", free_port())
  with (
    pytest.raises(ValueError, match=f"cluster at {where}, got none") as caught,
    connection.opened(where),
  ):
    pass
  assert "\n" not in str(caught.value)


def test_a_word_that_is_no_address_is_one_line():
  with (
    pytest.raises(ValueError, match="expected HOST:PORT or auto, got 'head'"),
    connection.opened("head"),
  ):
    pass


LINE = ["ifa_jax/predict.py", "--workdir=run", "--ray"]


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_wrong_command_lines(tmp_path_factory):
  folder = tmp_path_factory.mktemp("wrong")
  (folder / "posts.jsonl").write_text("{}")
  (folder / "empty").mkdir()
  (folder / "full").mkdir()
  (folder / "full" / "other.txt").write_text("")
  lines = {
    "no output": [*LINE, "--input=posts.jsonl"],
    "one post": [*LINE, "--text=<s> a </s> <o> b </o>"],
    "stdin": [*LINE, "--input=-", "--out=out"],
    "brat": [*LINE, "--input=posts.jsonl", "--out=out", "--format=brat"],
    "no files": [*LINE, "--input=empty", "--out=out"],
    "no input": [*LINE, "--input=gone", "--out=out"],
    "full": [*LINE, "--input=posts.jsonl", "--out=full"],
    "same": [*LINE, "--input=posts.jsonl", "--out=."],
    "a file": [*LINE, "--input=posts.jsonl", "--out=posts.jsonl"],
  }
  return command_lines.run_all(lines, cwd=folder)


@pytest.mark.parametrize(
  ("name", "status", "message"),
  [
    ("no output", 2, "--input with --output"),
    ("one post", 2, "--input with --output"),
    ("stdin", 1, "--ray: expected a file or folder as --input"),
    ("brat", 1, "no --format, got posts.jsonl, out and brat"),
    ("no files", 1, "expected files *.jsonl or *.parquet in the folder empty"),
    ("no input", 1, "gone"),
    ("full", 1, "--output: expected a new folder, or one with settings.json"),
    ("same", 1, "--output: expected another folder than --input, got ."),
    ("a file", 1, "posts.jsonl"),
  ],
)
def test_wrong_use_is_one_line(outcomes, name, status, message):
  found = outcomes[name]
  assert found.status == status
  assert message in found.err
  assert found.err.count("\n") == 1


@pytest.mark.silent_input
def test_records_of_another_model_or_file_are_not_continued(tmp_path):
  known = {"flags": {"workdir": "a"}, "step": {"a": 8}, "sha256": {"a": "f"}}
  first = known | {"bytes": {"posts.jsonl": 3}}
  for wanted in (first, first, known | {"bytes": {"more.jsonl": 5}}):
    command._claim(str(tmp_path), wanted)
  for changes, message in (
    ({"flags": {"workdir": "b"}}, "--workdir as before, 'a', got 'b'"),
    ({"step": {"a": 9}}, "step of a as before, 8, got 9"),
    ({"sha256": {"a": "0"}}, "sha256 of a as before, 'f', got '0'"),
    ({"bytes": {"posts.jsonl": 6}}, "bytes of posts.jsonl as before, 3"),
  ):
    with pytest.raises(ValueError, match=message):
      command._claim(str(tmp_path), first | changes)
  kept = json.loads((tmp_path / "settings.json").read_text())
  assert kept == known | {"bytes": {"posts.jsonl": 3, "more.jsonl": 5}}
