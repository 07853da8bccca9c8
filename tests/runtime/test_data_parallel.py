"""All forms of data parallelism: 8 devices compute the same as one."""

import json
import os
import subprocess
import sys
import types

import command_lines
import jax
import numpy as np
import pytest

from ifa_jax.runtime import data_parallel, forms

pytestmark = pytest.mark.slow

FORMS = list(forms.FORMS)


@pytest.fixture(scope="module", name="report")
def report_of_8_devices():
  done = subprocess.run(
    [sys.executable, command_lines.SCRIPTS / "parallel_script.py"],
    env={**os.environ, "PYTHONPATH": command_lines.PATHS},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  report = json.loads(done.stdout)
  assert report["devices"] == 8
  return report


@pytest.mark.parametrize("form", FORMS)
def test_training_on_8_devices_equals_training_on_one(report, form):
  gaps = report["gaps"][form]
  assert gaps["correct"] == gaps["count"] == 0
  assert gaps["params"] < 5e-6 < 1e-3 < report["moved"]
  # Sums of up to 16 losses of about 2.
  assert gaps["loss"] < 1e-5
  assert gaps["grad_norm"] < 1e-5


@pytest.mark.parametrize("form", ["jit", "fsdp"])
def test_dropout_under_jit_does_not_depend_on_the_devices(report, form):
  gaps = report["dropout"][form]
  assert gaps["params"] < 5e-6
  assert gaps["loss"] < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_back_once_and_in_order(report, form):
  assert report["rows"][form] == [[i] * 3 for i in range(21)]


@pytest.mark.parametrize("form", FORMS)
def test_an_update_that_one_device_spoils_is_made_by_none(report, form):
  *finite, same, steps = report["bad_updates"][form]
  assert finite == [False] * 8
  assert same
  assert steps == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_that_the_devices_cannot_split_is_refused(report, form):
  assert report["refusals"][form] == (
    "train.batch_size: expected a multiple of the 8 devices, got 12"
  )


@pytest.mark.parametrize("form", FORMS)
def test_a_snapshot_is_spread_and_outlives_its_state(report, form):
  even = np.arange(48.0).reshape(3, 16).tolist()
  assert report["snapshots"][form] == {
    "even": [even, [3, 2], [3, 2] if form == "fsdp" else [3, 16]],
    "odd": [[0.0, 1.0, 2.0], [3], [3]],
    "step": [4, [], []],
    "given_up": True,
  }


def test_no_device_ever_has_all_stacked_layers(report):
  shapes, gathered = map(set, report["shapes"])
  # Parameters, gradients and moments of 4 layers are split, and those of one
  # are gathered.
  for whole, part in (("16,32", "16,4"), ("32,16", "4,16"), ("16,16", "16,2")):
    assert f"4,{part}" in shapes
    assert f"4,{whole}" not in shapes
    assert {whole, f"1,{whole}"} & gathered


@pytest.mark.parametrize("form", FORMS)
def test_each_batch_is_sent_before_the_last_one_is_used(form):
  made, asked = forms.make_parallel(form), []

  def batches():
    for i in range(3):
      asked.append(i)
      yield {"rows": np.full(2, i)}

  used = []
  for batch, sent in made.ahead(batches()):
    used.append((asked[-1], batch["rows"][0], made.rows(sent["rows"])[0]))
  assert used == [(1, 0, 0), (2, 1, 1), (2, 2, 2)]
  assert list(made.ahead([])) == []


def test_an_unknown_form_is_refused():
  with pytest.raises(ValueError, match=r"pmap, jit, fsdp, got 'pjit'"):
    forms.make_parallel("pjit")


@pytest.mark.parametrize("form", FORMS)
def test_a_copied_tree_is_fetched_unchanged_as_a_copy(form):
  tree = {"a": np.arange(6.0).reshape(2, 3), "step": np.int32(4)}
  made = forms.make_parallel(form)
  fetched = made.fetch(made.copy(tree))
  jax.tree.map(np.testing.assert_array_equal, fetched, tree)
  assert all(x.flags.owndata for x in jax.tree.leaves(fetched))


@pytest.mark.parametrize("form", FORMS)
def test_processes_read_their_own_columns_and_gather_all(form, monkeypatch):
  order = np.arange(24).reshape(3, 8)
  made = forms.make_parallel(form)
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  owns = []
  for index in range(2):
    monkeypatch.setattr(jax, "process_index", lambda index=index: index)
    owns.append(made.own_columns(order))
  assert [own.shape for own in owns] == [(3, 4), (3, 4)]
  probabilities = [np.stack([own, -own], axis=-1) for own in owns]
  monkeypatch.setattr(
    data_parallel.multihost_utils,
    "process_allgather",
    lambda _: np.stack(probabilities),
  )
  gathered = made.all_columns(probabilities[0])
  assert gathered[:, 0].tolist() == list(range(24))
  assert gathered[:, 1].tolist() == [-i for i in range(24)]


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_split_over_the_devices_of_all_processes(form, monkeypatch):
  made = forms.make_parallel(form)
  monkeypatch.setattr(jax, "device_count", lambda: 16)
  made.check(32, "rows")
  with pytest.raises(ValueError, match=r"rows: .* 16 devices, got 8"):
    made.check(8, "rows")


@pytest.mark.parametrize("form", FORMS)
def test_devices_are_in_the_order_of_their_processes(form, monkeypatch):
  devices = [types.SimpleNamespace(process_index=i) for i in (2, 0, 1, 0)]
  monkeypatch.setattr(jax, "devices", lambda: devices)
  seen = []
  monkeypatch.setattr(
    data_parallel, "Mesh", lambda devices, *_, **__: seen.extend(devices)
  )
  monkeypatch.setattr(data_parallel, "NamedSharding", lambda *_: None)
  forms.make_parallel(form)
  assert [device.process_index for device in seen] == [0, 0, 1, 2]


def test_rows_are_in_the_order_of_their_places_not_of_their_shards():
  shards = [
    types.SimpleNamespace(index=(slice(start, None),), data=np.full(2, start))
    for start in (4, 0, 2)
  ]
  result = types.SimpleNamespace(addressable_shards=shards)
  found = forms.make_parallel("jit").rows(result)
  assert found.tolist() == [0, 0, 2, 2, 4, 4]
