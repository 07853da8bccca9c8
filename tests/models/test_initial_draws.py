"""Equal layers are initialised together, with unchanged numbers."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest
import tiny
from flax import linen as nn
from flax import traverse_util

from ifa_jax.models import build, parameters
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.layers import scan
from ifa_jax.training.eval_step import EvalStep

pytestmark = pytest.mark.slow

KEY = jax.random.key(5)


def assert_same_bits(got, want):
  jax.tree.map(np.testing.assert_array_equal, got, want)


def drawn_separately(config):
  batch = parameters.blank_batch(config)
  return jax.jit(lambda: build(config).init(KEY, batch)["params"])()


@pytest.mark.parametrize(
  "config",
  [
    tiny.tiny_config(),
    BertConfig(tiny.tiny_config(num_layers=3).text, pooling="cls"),
  ],
)
def test_numbers_equal_separate_draws(config):
  together = jax.jit(lambda: parameters.init_params(config, KEY))()
  assert_same_bits(together, drawn_separately(config))
  first, second = (together["text"][f"layer_{i}"] for i in range(2))
  kernels = (x["mlp_in"]["kernel"] for x in (first, second))
  assert not np.array_equal(*kernels)


def test_initial_values_are_berts():
  vision = dataclasses.replace(
    tiny.tiny_config().vision, crop_position_stddev=1
  )
  config = tiny.tiny_config(vision=vision)
  params = traverse_util.flatten_dict(parameters.init_params(config, KEY))
  assert len(params) > 50
  for path, array in params.items():
    if path[-1] == "scale":
      np.testing.assert_array_equal(array, 1)
    elif path[-1] == "bias":
      np.testing.assert_array_equal(array, 0)
    else:
      stddev = 1 if "ed_position" in path[-1] else 0.02
      # Five standard errors; the class token has the fewest values, 16.
      slack = 5 * stddev / (2 * array.size) ** 0.5
      assert np.std(array) == pytest.approx(stddev, abs=slack), path


def count_draws(program):
  inner = (
    value
    for equation in program.eqns
    for value in equation.params.values()
    if hasattr(value, "eqns")
  )
  here = sum(x.primitive.name == "random_bits" for x in program.eqns)
  return here + sum(map(count_draws, inner))


def num_draws(num_layers):
  config = tiny.tiny_config(num_layers=num_layers)
  return count_draws(
    jax.make_jaxpr(lambda: parameters.init_params(config, KEY))()
  )


def test_the_number_of_draws_does_not_depend_on_depth():
  assert num_draws(4) == num_draws(2) > 0


def test_a_draw_outside_is_immediate():
  got = scan.normal(0.5)(KEY, (3, 2))
  assert_same_bits(got, nn.initializers.normal(0.5)(KEY, (3, 2)))


def test_an_error_inside_ends_the_context():
  with pytest.raises(KeyError):
    scan.draw_together(lambda: {}["none"])
  assert np.any(scan.normal(0.5)(KEY, (3, 2)))


def test_inside_blank_draws_a_draw_is_deferred():
  with scan.blank_draws() as noted:
    assert not np.any(scan.normal(0.5)(KEY, (3, 2)))
  assert [draw.shape for draw in noted] == [(3, 2)]
  assert np.any(scan.normal(0.5)(KEY, (3, 2)))


def test_an_evaluation_draws_nothing(monkeypatch):
  config, noted, blank = tiny.tiny_config(), [], scan.blank_draws

  @contextlib.contextmanager
  def watched():
    with blank() as inside:
      yield inside
    noted.extend(inside)

  monkeypatch.setattr(scan, "blank_draws", watched)
  params = parameters.abstract_params(config)
  noted.clear()
  step = EvalStep(build(config))
  jax.eval_shape(step, params, parameters.blank_batch(config))
  assert len(noted) > 10
