"""The model of a pod's update, compared with computations by hand."""

import json

import pytest

from benchmarks import pod_model
from benchmarks.pod_model import CHIPS, Chip, Update, Work

# 10 s of compute per example on one device; 8 bytes to sum.
WORK = Work(flops=5.0, gradient_bytes=8.0, share=0.5)
RING = Chip(peak=1.0, memory=16.0, links=2.0, source="")
NODES = Chip(1.0, 16.0, 4.0, "", node=4, between=1.0)


def test_a_ring_sends_all_but_its_own_part_twice():
  # Two devices swap halves, then whole halves: 4 + 4 bytes at 2 bytes/s.
  assert pod_model.sum_seconds(RING, 2, 8.0) == 4.0
  assert pod_model.sum_seconds(RING, 4, 8.0) == 6.0
  assert pod_model.sum_seconds(RING, 1, 8.0) == 0.0


def test_nodes_sum_inside_and_then_each_part_between_them():
  assert pod_model.sum_seconds(NODES, 4, 8.0) == 3.0
  # 2 bytes for each device of a node, among three nodes.
  expected = 3.0 + 2 * 2 / 3 * 2.0
  assert pod_model.sum_seconds(NODES, 12, 8.0) == pytest.approx(expected)
  assert pod_model.sum_seconds(RING, 12, 8.0) == pytest.approx(22 / 3)


def test_an_update_is_its_rows_its_sums_and_eight_passes_over_the_state():
  update = WORK.on(RING, 2, 6)
  assert update == Update(compute=30.0, sums=4.0, optimizer=4.0)
  assert update.in_turn == 38.0
  assert update.overlapped == 34.0


def test_sums_overlap_only_with_the_backward_pass():
  assert Update(compute=3.0, sums=2.0, optimizer=1.0).overlapped == 4.0
  assert Update(compute=3.0, sums=2.5, optimizer=1.0).overlapped == 4.5


@pytest.mark.parametrize("chip", [RING, NODES, *CHIPS.values()])
@pytest.mark.parametrize("efficiency", [0.5, 0.9])
def test_compute_has_its_share_at_the_minimum_batch(chip, efficiency):
  batch = pod_model.min_batch(chip, 16, WORK, efficiency)
  update = WORK.on(chip, 16, batch)
  assert update.compute / update.overlapped == pytest.approx(efficiency)


def test_figures_are_those_of_the_full_size(tmp_path, capsys):
  out = tmp_path / "found.json"
  pod_model.main(pod_model.Settings(share=0.45, out=str(out)))
  found = json.loads(out.read_text())
  work = Work(**found["work"])
  # BERT-base, CLIP ViT-B/32 and the head have 0.2 B parameters.
  assert work.gradient_bytes == pytest.approx(0.79e9, rel=0.01)
  # Three times the 23.5 GFLOP of a prediction.
  assert work.flops == pytest.approx(70.5e9, rel=0.01)
  line = next(x for x in found["lines"] if x["chip"] == "H100 SXM")
  update = work.on(CHIPS["H100 SXM"], line["devices"], line["batch_size"])
  assert line["sums"] == update.sums
  shown = next(x for x in capsys.readouterr().out.splitlines() if "H100" in x)
  cells = [cell.strip() for cell in shown.split("│")]
  assert cells[1:4] == ["H100 SXM", "8", "256"]
  assert cells[-3] == f"{100 * update.compute / update.in_turn:.0f}"
