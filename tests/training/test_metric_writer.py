"""The metrics file: a resumed run's reads like one that never stopped."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tqdm import tqdm

from ifa_jax.training.metric_writer import Meter, MetricsLog
from ifa_jax.workdir.run_folder import RunFolder


@pytest.fixture(name="folder")
def empty_folder(tmp_path):
  return RunFolder(tmp_path)


def text(folder):
  return pathlib.Path(folder.file("metrics.jsonl")).read_text()


def lines(folder):
  return [json.loads(line) for line in text(folder).splitlines()]


def test_a_line_holds_step_epoch_and_values(folder):
  with MetricsLog(folder, 0) as log:
    log.write(20, 1, loss=0.5, accuracy=0.25)
    assert lines(folder) == [
      {"step": 20, "epoch": 1, "loss": 0.5, "accuracy": 0.25}
    ]
  assert list(pathlib.Path(folder.path).glob("events.out.tfevents.*"))


def test_resuming_drops_lines_that_will_be_repeated(folder):
  with MetricsLog(folder, 0) as log:
    for step in (10, 20, 30, 40):
      log.write(step, 1, loss=float(step))
    log.write(20, 1, dev_f1=0.5)
  with MetricsLog(folder, 20) as log:
    assert [line["step"] for line in lines(folder)] == [10, 20, 20]
    log.write(30, 2, loss=1.0)
  assert [line["step"] for line in lines(folder)] == [10, 20, 20, 30]


@pytest.mark.parametrize("cut", [2, 10])
def test_resuming_cuts_a_line_that_was_half_written(folder, cut):
  with MetricsLog(folder, 0) as log:
    log.write(10, 1, loss=1.0)
    log.write(20, 1, loss=2.0)
  path = pathlib.Path(folder.file("metrics.jsonl"))
  path.write_text(path.read_text()[:-cut])
  with MetricsLog(folder, 20) as log:
    log.write(30, 1, loss=3.0)
  assert [line["step"] for line in lines(folder)] == [10, 30]


def test_a_last_line_without_its_end_is_kept_as_a_line(folder):
  with MetricsLog(folder, 0) as log:
    log.write(10, 1, loss=1.0)
  path = pathlib.Path(folder.file("metrics.jsonl"))
  path.write_text(path.read_text()[:-1])
  with MetricsLog(folder, 10) as log:
    log.write(20, 1, loss=2.0)
  assert [line["step"] for line in lines(folder)] == [10, 20]


def sums(loss, correct, count, norm):
  values = {"loss": loss, "correct": correct, "count": count}
  values |= {"grad_norm": norm, "finite": True}
  return jax.tree.map(jnp.asarray, values)


@pytest.fixture(name="metered")
def log_and_meter(folder):
  with (
    MetricsLog(folder, 0) as log,
    tqdm(total=100, disable=True) as bar,
  ):
    yield folder, Meter(log, bar)


def test_a_window_weighs_rows_not_steps(metered):
  folder, meter = metered
  meter.add(sums(8.0, 3, 4, 1.0), rows=4)
  meter.add(sums(1.0, 1, 1, 2.0), rows=1)
  meter.end_window(step=2, epoch=0)
  meter.flush()
  (line,) = lines(folder)
  assert line.pop("examples_per_second") > 0
  assert line == {
    "step": 2,
    "epoch": 1,
    "loss": pytest.approx(9 / 5),
    "accuracy": pytest.approx(4 / 5),
    "grad_norm": pytest.approx(1.5),
  }


def test_steps_that_were_not_finite_are_counted_and_left_out(metered):
  folder, meter = metered
  nan, bad = jnp.float32(jnp.nan), {"finite": jnp.asarray(False)}
  for number in range(1, 5):
    meter.add(sums(2.0, 1, 4, 3.0) | ({}, {"loss": nan} | bad)[number > 2], 4)
    if number % 2 == 0:
      meter.end_window(number, epoch=1)
  meter.add(sums(8.0, 4, 4, jnp.inf) | bad, 4)
  meter.add(sums(8.0, 4, 4, 5.0), 4)
  meter.end_window(6, epoch=1)
  assert [bad.step for bad in meter.bad_steps] == [3, 4]
  meter.flush()
  assert meter.bad_steps[2:] == [(5, 1, 2.0, np.inf)]
  for line, wanted in zip(
    lines(folder),
    [
      {"step": 2, "loss": 0.5, "accuracy": 0.25, "grad_norm": 3.0},
      {"step": 4, "skipped": 2},
      {"step": 6, "skipped": 1, "loss": 2.0, "accuracy": 1.0, "grad_norm": 5.0},
    ],
    strict=True,
  ):
    assert line.pop("examples_per_second") > 0
    assert line == wanted | {"epoch": 2}
  with MetricsLog(folder, 6) as log:
    assert log.total("skipped") == 3


def test_windows_are_written_late_once_and_in_order(metered):
  folder, meter = metered
  written = []
  for step in range(1, 6):
    meter.add(sums(float(step), 1, 1, 1.0), rows=1)
    meter.end_window(step, epoch=0)
    written.append(len(lines(folder)))
  meter.end_window(6, epoch=0)
  meter.flush()
  meter.flush()
  assert written == [0, 1, 2, 3, 4]
  assert [(x["step"], x["loss"]) for x in lines(folder)] == [
    (i, float(i)) for i in range(1, 6)
  ]


def test_metrics_are_read_from_either_form_of_parallelism(metered):
  folder, meter = metered
  # pmap gives every metric once for each device.
  mapped = jax.pmap(lambda x: x)(
    jax.tree.map(lambda x: x[None], sums(6.0, 1, 3, 1.0))
  )
  meter.add(mapped, rows=3)
  meter.end_window(1, epoch=0)
  meter.flush()
  assert lines(folder)[0]["loss"] == 2.0


def test_the_rate_of_a_device_that_waits_is_that_of_the_host(
  metered, monkeypatch
):
  folder, meter = metered
  clock = [meter._time]
  monkeypatch.setattr("time.monotonic", lambda: clock[0])
  for step in range(1, 6):
    clock[0] += 0.5
    meter.add(jax.block_until_ready(sums(1.0, 1, 1, 1.0)), rows=8)
    if step in (2, 4):
      meter.end_window(step, epoch=0)
  meter.end_window(5, epoch=0)
  meter.flush()
  rates = [line["examples_per_second"] for line in lines(folder)]
  assert rates == pytest.approx([16.0, 16.0, 16.0])
