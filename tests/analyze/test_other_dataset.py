"""Analyses of a run refuse a dataset that was prepared again since."""

import json
import types

import pytest
import tiny_run
import whole_run
from dataset_metadata import METADATA, write_dataset

from ifa_jax.analyze.alignment import command as alignment
from ifa_jax.analyze.names import command as names
from ifa_jax.analyze.objects import command as objects
from ifa_jax.analyze.shuffle import command as shuffle
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "command", [shuffle, objects, names, alignment], ids=lambda x: x.__name__
)
@pytest.mark.parametrize("changed", ["boxes", "limit", "sources"])
def test_a_dataset_that_was_prepared_again_is_refused(
  command, changed, tmp_path, monkeypatch
):
  metadata = METADATA | {"boxes": "0", "limit": None, "sources": "0"}
  write_dataset(tmp_path / "clean", metadata)
  built = tiny_run.build(tiny_run.tiny_run_config(tmp_path))
  folder = RunFolder(tmp_path / "run")
  run_record.claim(folder, built.config, built.prepared.metadata)
  before = whole_run.snapshot(folder.path)
  other = json.dumps(metadata | {changed: "1"})
  (tmp_path / "clean" / "metadata.json").write_text(other)
  flags = types.SimpleNamespace(workdir=folder.path, out=None)
  flags.posts = flags.rewritten = flags.rumie = None
  flags.split, flags.beside = "test", []
  fake = types.SimpleNamespace(FLAGS=flags)
  monkeypatch.setattr(command, "flags", fake)
  with pytest.raises(
    ValueError, match=rf"run: holds another run: dataset\.{changed}: expected"
  ):
    command.main([])
  assert whole_run.snapshot(folder.path) == before
