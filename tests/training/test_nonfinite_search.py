"""The first bad array of a batch: data, parameter, layer or gradient."""

import numpy as np
import pytest
import tiny
import toy

from ifa_jax import models
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.training import steps
from ifa_jax.training.fault_tolerance import nonfinite_search


def diagnose(between, params, batch, num_slices=1):
  train_step = steps.TrainStep(toy.Toy(between), None, 0, num_slices)
  return nonfinite_search.diagnose(train_step, params, batch, number=3)


def test_finite_numbers_are_no_finding():
  assert diagnose("tanh", toy.params(), toy.batch()) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_parameter_is_named(value):
  params = toy.params()
  params["above"]["bias"][1] = value
  found = diagnose("tanh", params, toy.batch())
  assert found == ("the parameter above/bias", "above/bias", [0, 1, 2])


def test_a_bad_row_of_the_data_is_named_and_filler_is_not():
  batch = toy.batch()
  batch.regions[[1, 3]] = np.nan
  found = diagnose("tanh", toy.params(), batch)
  assert found == ("the batch's regions", "", [1])


def test_a_layer_that_overflows_is_named():
  params = toy.params()
  params["below"]["kernel"] *= np.float32(3e37)
  batch = toy.batch()
  batch.regions[0] *= 1e4
  found = diagnose("tanh", params, batch)
  assert found.what == "the output of below"
  assert found.path == "below"


def test_a_bad_value_between_layers_is_the_next_ones_input():
  found = diagnose("log", toy.params(), toy.batch())
  assert found == ("the input of above", "above", [0, 1, 2])


@pytest.mark.parametrize("num_slices", [1, 2])
def test_a_bad_gradient_is_the_first_on_its_way_back(num_slices):
  found = diagnose("root", toy.params(), toy.batch(), num_slices)
  # Of the layer above they are finite.
  assert found.path in ("below/kernel", "below/bias")
  assert found.what == f"the gradient of {found.path}"
  assert found.rows == []


def test_a_layer_among_those_that_training_stacks_is_named():
  config = tiny.tiny_config(dropout=0.1, num_layers=3)
  params = tiny.perturbed_params(config)
  mlp = params["text"]["layer_1"]["mlp_out"]
  mlp["kernel"][:] = 3e38
  stacked = LayerLayout(stacked=True).convert(params)
  train_step = steps.TrainStep(models.build(config), None, 0)
  batch = tiny.random_batch(config, 4)
  found = nonfinite_search.diagnose(train_step, stacked, batch, number=0)
  assert found.what == "the output of text/layer_1/mlp_out"
  assert found.rows == [0, 1, 2, 3]
