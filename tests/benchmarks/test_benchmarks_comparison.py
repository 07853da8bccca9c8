"""The benchmarks beside PyTorch: what they count, and a run of both."""

import collections
import dataclasses
import json
import os
import time

import jax
import numpy as np
import pytest
import torch

from benchmarks import (
  comparison,
  comparison_table,
  flops,
  inference,
  lengths,
  rounds,
  training,
)
from ifa_jax import benchmark
from ifa_jax.models import TextConfig, VisionConfig, build, parameters, variants
from ifa_jax.training import optimizer
from ifa_jax.training.steps import TrainStep, start_state

pytestmark = pytest.mark.slow

MNRE_DIR, TOKENIZER = (
  os.environ.get(name) for name in ("MNRE_DIR", "BERT_UNCASED_DIR")
)
TOY = comparison.Settings(size="toy", batch_size=4, rounds=2)


def wide_model(use_image):
  """A model so wide that what is no product hardly counts."""
  sizes = {"hidden_dim": 768, "num_layers": 2, "num_heads": 12}
  text, vision = TextConfig(vocab_size=50, **sizes), VisionConfig(**sizes)
  return variants.make(
    "objects", text=text, vision=vision, use_image=use_image, dtype="float32"
  )


def test_flops_of_an_update_are_those_that_xla_counts():
  model, rows, text_len = wide_model(True), 32, 48
  batch = benchmark.random_batch(model, rows, text_len)
  tx = optimizer.make_optimizer(
    benchmark.OPTIM, parameters.abstract_params(model), num_steps=10
  )
  state = jax.eval_shape(
    lambda key: start_state(parameters.init_params(model, key), tx),
    jax.random.key(0),
  )
  lowered = jax.jit(TrainStep(build(model), tx, seed=0)).lower(state, batch)
  counted = lowered.cost_analysis()["flops"] / rows
  wanted = flops.of_update(model, text_len)
  assert wanted < counted < 1.05 * wanted


def test_texts_are_padded_as_a_config_has_it():
  from ifa_jax.training.config.defaults import base

  data = base().data
  assert data.text_len == comparison.TEXT_LEN
  assert data.text_buckets == comparison.BUCKETS
  assert data.packed_buckets == comparison.PACKED_BUCKETS


def test_a_picture_more_costs_its_tokens():
  small, large = wide_model(False), wide_model(True)
  more = flops.of_prediction(large, 48) - flops.of_prediction(small, 48)
  # 49 tokens: a whole layer, the keys and values of the last, the patches; and
  # as many keys more for the 48 + 61 tokens that were there in one layer, and
  # for the two markers alone in the other.
  width, patch = 768, 3 * 32**2
  tokens = 8 * width**2 + 4 * 768 * 3072 + 4 * width**2 + 2 * patch * width
  keys = 4 * width * (49 * (48 + 110) + 49 * (48 + 61) + 49 * 2)
  assert more == 49 * tokens + keys


def test_shares_of_buckets_are_those_of_shuffled_epochs():
  of_length = {10: 60, 20: 30, 30: 10}
  found = lengths.bucket_shares(of_length, 5, (20, 10), 30)
  rows = np.repeat([*of_length], [*of_length.values()])
  rng = np.random.default_rng(0)
  longest = [rng.permutation(rows)[:5].max() for _ in range(20_000)]
  drawn = collections.Counter(int(n) for n in longest)
  for bucket, share in found.items():
    assert share == pytest.approx(drawn[bucket] / 20_000, abs=0.015)
  assert sum(found.values()) == pytest.approx(1)


def test_texts_have_the_lengths_that_were_drawn():
  drawn = lengths.draw(lengths.MNRE, 500, 48)
  assert drawn.max() <= 48
  assert drawn.mean() == pytest.approx(30.6, abs=0.7)
  model = TOY.model
  batch = comparison.make_batch(model, drawn[:4], 48)
  assert [*batch.attention_mask.sum(axis=1)] == [*drawn[:4]]
  assert (batch.head_start < drawn[:4]).all()
  assert (batch.tail_start < drawn[:4]).all()
  with pytest.raises(ValueError, match="want at least 10"):
    lengths.draw(lengths.MNRE, 4, 9)


@pytest.mark.skipif(
  not (MNRE_DIR and TOKENIZER), reason="set MNRE_DIR and BERT_UNCASED_DIR"
)
def test_lengths_are_those_of_mnre():
  assert lengths.count(MNRE_DIR, TOKENIZER, 80) == lengths.MNRE


def test_rounds_are_compared_with_themselves():
  found = rounds.summarise([2.0, 4.0, 4.0], [3.0, 4.0, 8.0], [20, 80, 40], 5)
  assert found["ours_over_this"] == [1.5, 1, 2]
  assert found["share_of_peak"] == [0.5, 0.25, 0.5]
  assert found["flops_per_second"] == 20
  alone = rounds.summarise([2.0], None, None, 5)
  assert alone["ours_over_this"] is alone["share_of_peak"] is None


def test_processors_are_counted_by_example():
  def work(seconds):
    began = time.process_time()
    while time.process_time() - began < seconds:
      pass
    return 10 / (time.perf_counter() - start)

  clock, start = rounds.CpuClock(work), time.perf_counter()
  clock(0.1)
  assert clock.of_example[0] == pytest.approx(0.01, rel=0.2)


def test_wrong_settings_are_refused():
  with pytest.raises(
    ValueError, match=r"--rows: want some of ours, .* found x"
  ):
    dataclasses.replace(TOY, rows=("ours", "x"))
  with pytest.raises(ValueError, match=r"--rows: .* found none"):
    dataclasses.replace(TOY, rows=())


class Turns:
  """Stands for the model's updates, which `test_benchmark` runs."""

  compile_seconds = 1.5

  def __init__(self, model, batch, form):
    self.seen = model, batch.input_ids.shape, form

  def run(self, seconds):
    return 3.0


@pytest.fixture
def small(monkeypatch):
  """Makes "toy" so small that it runs at once."""
  sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32}
  monkeypatch.setitem(benchmark.SIZES, "toy", sizes)
  monkeypatch.setattr(flops, "product_side", lambda: 64)
  # Two threads that wait busily for each other are slow beside other tests.
  torch.set_num_threads(1)


@pytest.mark.usefixtures("small")
def test_updates_take_turns_with_those_of_pytorch(monkeypatch):
  monkeypatch.setattr(benchmark, "Runner", Turns)
  compared = training.compare(TOY, lengths.MNRE)
  assert [*compared.rows] == ["ours", "eager80", "eager"]
  assert compared.rows["ours"].runner.seen == (TOY.model, (4, 44), "pmap")
  found = compared.measure()
  json.dumps(found)
  of_row = found["rows"]
  assert [row["text_len"] for row in of_row.values()] == [44, 80, 44]
  assert len(found["product_flops_per_second"]) == 2
  assert len(of_row["eager"]["cpu_seconds_per_example"]) == 2
  rates = of_row["eager"]["examples_per_second"]
  assert of_row["eager"]["ours_over_this"] == [3 / rate for rate in rates]
  assert comparison_table.make_table("Training", found).row_count == 3


@pytest.mark.usefixtures("small")
def test_predictions_are_made_and_counted():
  settings = dataclasses.replace(TOY, rows=("ours",), dtype="bfloat16")
  found = inference.compare(settings, lengths.MNRE).measure()
  (row,) = found["rows"].values()
  assert row["dtype"] == "bfloat16"
  assert row["flops_per_example"] == flops.of_prediction(settings.model, 44)
  assert min(row["examples_per_second"]) > 0
  assert row["compile_seconds"] > 0
  assert "torch" not in found["machine"]
