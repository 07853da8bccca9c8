"""The comparison with PyTorch: FLOPs, text lengths, and a run of both."""

import collections
import dataclasses
import functools
import json
import os
import time

import jax
import numpy as np
import pytest
import torch

from benchmarks import flops, pytorch, random_posts
from ifa_jax import benchmark
from ifa_jax.data.mnre import tree
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import (
  TextConfig,
  VisionConfig,
  build,
  parameters,
  replace,
  variants,
)
from ifa_jax.training import optimizer
from ifa_jax.training.config.defaults import base
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.steps import TrainStep, start_state

pytestmark = pytest.mark.slow

MNRE_DIR, TOKENIZER = map(os.environ.get, ("MNRE_DIR", "BERT_UNCASED_DIR"))
TOY = pytorch.Settings(size="toy", batch_size=4, rounds=2)


def wide_model(row, num_layers=2):
  """Returns a model so wide that nearly all its FLOPs are in products."""
  sizes = {"hidden_dim": 768, "num_layers": num_layers, "num_heads": 12}
  text, vision = TextConfig(vocab_size=50, **sizes), VisionConfig(**sizes)
  return variants.make(row, text=text, vision=vision, dtype="float32")


@pytest.mark.parametrize("row", ["objects", "text"])
def test_flops_of_a_prediction_match_xlas_count(row):
  model, text_len = wide_model(row, num_layers=3), 24
  batch = benchmark.random_batch(model, 1, text_len)
  shapes = parameters.abstract_params(model)
  lowered = jax.jit(EvalStep(build(model))).lower(shapes, batch)
  counted = lowered.cost_analysis()["flops"]
  # XLA also counts norms, activations and softmax.
  expected = flops.of_prediction(model, text_len)
  assert expected < counted < 1.03 * expected


def test_flops_of_an_update_match_xlas_count():
  model, rows, text_len = wide_model("objects"), 32, 48
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
  expected = flops.of_update(model, text_len)
  assert expected < counted < 1.05 * expected


def test_flops_of_a_picture_match_a_count_by_hand():
  large = wide_model("objects")
  small = replace(large, use_image=False)
  more = flops.of_prediction(large, 48) - flops.of_prediction(small, 48)
  assert flops.num_patches(large) == flops.num_patches(small) + 49
  assert flops.of_prediction(large, 48, 60) == flops.of_prediction(small, 48)
  # 49 tokens pass through one layer, the keys and values of the last, and the
  # patch embedding. They are also keys for the 48 + 61 other tokens in one
  # layer, and for the two markers in the other.
  width, patch = 768, 3 * 32**2
  tokens = 8 * width**2 + 4 * 768 * 3072 + 4 * width**2 + 2 * patch * width
  keys = 4 * width * (49 * (48 + 110) + 49 * (48 + 61) + 49 * 2)
  assert more == 49 * tokens + keys


def test_buckets_are_those_of_the_default_config():
  data = base().data
  assert data.text_len == random_posts.TEXT_LEN
  assert data.text_buckets == random_posts.BUCKETS
  assert data.packed_buckets == random_posts.PACKED_BUCKETS


def test_bucket_shares_are_those_of_shuffled_epochs(monkeypatch):
  lengths = {10: 60, 45: 30, 50: 10}
  monkeypatch.setattr(random_posts, "MNRE_LENGTHS", lengths)
  shares = random_posts.bucket_shares(5)
  rows = np.repeat([*lengths], [*lengths.values()])
  rng = np.random.default_rng(0)
  longest = [rng.permutation(rows)[:5].max() for _ in range(20_000)]
  counts = collections.Counter(int(n) for n in longest)
  expected = {44: counts[10], 48: counts[45], 56: counts[50], 80: 0}
  assert shares.keys() == expected.keys()
  for bucket, share in shares.items():
    assert share == pytest.approx(expected[bucket] / 20_000, abs=0.015)


def test_texts_have_the_drawn_lengths():
  lengths = random_posts.draw_lengths(500, 48)
  assert lengths.max() <= 48
  assert lengths.mean() == pytest.approx(30.6, abs=0.7)
  batch = random_posts.make_batch(TOY.model, lengths[:4], 48)
  assert [*batch.attention_mask.sum(axis=1)] == [*lengths[:4]]
  assert (batch.head_start < lengths[:4]).all()
  assert (batch.tail_start < lengths[:4]).all()
  with pytest.raises(ValueError, match="--text_len: expected at least 10"):
    random_posts.draw_lengths(4, 9)


@pytest.mark.skipif(
  not (MNRE_DIR and TOKENIZER), reason="set MNRE_DIR and BERT_UNCASED_DIR"
)
def test_lengths_are_those_of_mnre():
  tokenizer = Tokenizer.load(TOKENIZER)
  lengths = collections.Counter(
    len(tokenizer.encode(row.words, row.head, row.tail, 80).input_ids)
    for row in tree.read_rows(MNRE_DIR, "train", tree.read_relations(MNRE_DIR))
  )
  assert lengths == random_posts.MNRE_LENGTHS


def test_rounds_are_compared_with_themselves():
  found = pytorch.summarise([2.0, 4.0, 4.0], [3.0, 4.0, 8.0], [20, 80, 40], 5)
  assert found["ours_over_this"] == [1.5, 1, 2]
  assert found["share_of_peak"] == [0.5, 0.25, 0.5]
  assert found["flops_per_second"] == 20
  single = pytorch.summarise([2.0], [], None, 5)
  assert single["ours_over_this"] is single["share_of_peak"] is None


def test_cpu_time_is_per_example():
  def work(seconds):
    began, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < seconds:
      pass
    return 10 / (time.perf_counter() - began)

  _, cpu_seconds = pytorch.run_timed(work, 0.1)
  assert cpu_seconds == pytest.approx(0.01, rel=0.2)


class FakeRunner:
  """Replaces the model's steps, which tests of `ifa_jax.benchmark` run."""

  compile_seconds = 1.5

  def __init__(self, model, batch, form, train):
    self.arguments = model, batch.input_ids.shape, form, train

  def run(self, seconds):
    return 3.0


@pytest.fixture(name="fast")
def fast_models(monkeypatch):
  """Makes "toy" and the product so small that they run at once."""
  sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32}
  monkeypatch.setitem(benchmark.SIZES, "toy", sizes)
  make = functools.partial(flops.make_product, side=64)
  monkeypatch.setattr(flops, "make_product", make)
  # Two threads that wait busily for each other are slow next to other tests.
  torch.set_num_threads(1)


@pytest.mark.usefixtures("fast")
def test_updates_run_in_turn_with_pytorchs(monkeypatch):
  runners = []

  def make(*arguments):
    runners.append(FakeRunner(*arguments))
    return runners[-1]

  monkeypatch.setattr(benchmark, "Runner", make)
  found = pytorch.measure(TOY)
  assert runners[0].arguments == (TOY.model, (4, 44), "pmap", True)
  json.dumps(found)
  rows = found["rows"]
  assert [*rows] == ["ours", "eager80", "eager"]
  assert [row["text_len"] for row in rows.values()] == [44, 80, 44]
  assert found["torch"] == torch.__version__
  assert len(found["product_flops_per_second"]) == 2
  assert len(rows["eager"]["cpu_seconds_per_example"]) == 2
  rates = rows["eager"]["examples_per_second"]
  assert rows["eager"]["ours_over_this"] == [3 / rate for rate in rates]
  assert pytorch.cells("ours", rows["ours"])[3:5] == ["1.5", "3.0 (3.0 - 3.0)"]


@pytest.mark.usefixtures("fast")
def test_predictions_run():
  settings = dataclasses.replace(
    TOY, task="predict", rows=("ours",), dtype="bfloat16"
  )
  (row,) = pytorch.measure(settings)["rows"].values()
  assert row["dtype"] == "bfloat16"
  assert row["flops_per_example"] == flops.of_prediction(settings.model, 44)
  assert min(row["examples_per_second"]) > 0
  assert row["compile_seconds"] > 0
