"""The model of a pod's update, against what one computes by hand."""

import pytest

from benchmarks import pod_model
from benchmarks.pod_model import CHIPS, Chip, Update
from ifa_jax import benchmark

# 10 s of compute an example on one device; 8 bytes to sum.
WORK = {"flops": 5.0, "gradient_bytes": 8.0, "share": 0.5}
RING = Chip(peak=1.0, memory=16.0, links=2.0, source="nobody")
NODES = Chip(1.0, 16.0, 4.0, "nobody", node=4, between=1.0)


def test_a_ring_sends_all_but_its_own_part_twice():
  # Two devices swap halves, then whole halves: 4 + 4 bytes at 2 a second.
  assert pod_model.ring_seconds(8.0, 2, 2.0) == 4.0
  assert pod_model.ring_seconds(8.0, 4, 2.0) == 6.0
  assert pod_model.ring_seconds(8.0, 1, 2.0) == 0.0


def test_nodes_sum_inside_and_then_each_part_between_them():
  assert pod_model.sum_seconds(NODES, 4, 8.0) == 3.0
  # 2 bytes for each device of a node, among three of them.
  wanted = 3.0 + 2 * 2 / 3 * 2.0
  assert pod_model.sum_seconds(NODES, 12, 8.0) == pytest.approx(wanted)
  assert pod_model.sum_seconds(RING, 12, 8.0) == pytest.approx(22 / 3)


def test_an_update_is_its_rows_its_sums_and_eight_passes_over_the_state():
  found = pod_model.predict(RING, 2, 6, WORK)
  assert found == Update(compute=30.0, sums=4.0, optimizer=4.0)
  assert found.in_turn == 38.0
  assert found.overlapped == 34.0


def test_only_the_backward_pass_hides_sums():
  assert Update(compute=3.0, sums=2.0, optimizer=1.0).overlapped == 4.0
  assert Update(compute=3.0, sums=2.5, optimizer=1.0).overlapped == 4.5


@pytest.mark.parametrize("chip", [RING, NODES, *CHIPS.values()])
@pytest.mark.parametrize("efficiency", [0.5, 0.9])
def test_at_the_least_batch_compute_has_its_share(chip, efficiency):
  batch = pod_model.least_batch(chip, 16, WORK, efficiency)
  update = pod_model.predict(chip, 16, batch, WORK)
  assert update.compute / update.overlapped == pytest.approx(efficiency)


def test_the_work_is_that_of_the_full_size():
  model = benchmark.make_model("objects", "base", "bfloat16")
  work = pod_model.count_work(model, text_len=32, share=0.45)
  # BERT-base, CLIP ViT-B/32 and the head have 0.2 B parameters.
  assert work["gradient_bytes"] == pytest.approx(0.79e9, rel=0.01)
  # Thrice the 23.5 GFLOP of predicting.
  assert work["flops"] == pytest.approx(70.5e9, rel=0.01)


def test_the_table_has_a_line_for_each_batch_that_the_devices_can_split():
  lines = pod_model.make_lines(WORK, [64, 512], [256])
  # Nor has a slice of v5e 512 chips.
  assert [(x["chip"], x["devices"]) for x in lines] == [(k, 64) for k in CHIPS]
  for line in lines:
    update = pod_model.predict(CHIPS[line["chip"]], 64, 256, WORK)
    assert line["sums"] == update.sums
    share = f"{100 * update.compute / update.in_turn:.0f}"
    assert pod_model._cells(line)[-2] == share
