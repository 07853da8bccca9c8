"""Rules in both directions, and errors."""

import numpy as np
import pytest
import tiny

from ifa_jax.convert import deepke, engine
from ifa_jax.convert.engine import PATCHES, Drop, Rule, linear
from ifa_jax.convert.huggingface import encoders
from ifa_jax.models import parameters

TABLE = [
  Drop("count.{any}", "counts nothing"),
  *linear("layers.{n}.out", "layer_{n}/out"),
  Rule("table", "table"),
]
EXPECTED = {
  "layer_0/out/kernel": (3, 2),
  "layer_0/out/bias": (2,),
  "layer_11/out/kernel": (3, 2),
  "layer_11/out/bias": (2,),
  "table": (5,),
}


def weights():
  return {
    "count.ids": np.arange(3),
    "layers.0.out.weight": np.arange(6.0).reshape(2, 3),
    "layers.0.out.bias": np.arange(2.0),
    "layers.11.out.weight": np.ones((2, 3)),
    "layers.11.out.bias": np.ones(2),
    "table": np.zeros(5),
  }


def test_names_and_arrays_are_converted():
  params = engine.convert(weights(), TABLE, EXPECTED, "a.bin")
  kernel = params["layer_0/out/kernel"]
  np.testing.assert_array_equal(kernel, [[0, 3], [1, 4], [2, 5]])
  assert kernel.dtype == np.float32
  assert params.keys() == EXPECTED.keys()


def test_a_table_converts_back():
  params = engine.convert(weights(), TABLE, EXPECTED, "a.bin")
  back = engine.restore(params, TABLE, "a.bin")
  want = {k: v for k, v in weights().items() if not k.startswith("count")}
  assert back.keys() == want.keys()
  for name, array in want.items():
    np.testing.assert_array_equal(back[name], array)


def test_dropped_weights_and_numbers_of_layers():
  assert engine.dropped(weights(), TABLE) == {"counts nothing": ["count.ids"]}
  numbers = [engine.layer_number(TABLE, name) for name in weights()]
  assert numbers == [-1, 0, 0, 11, 11, -1]


def problems_with(**changes):
  source = {**weights(), **changes}
  source = {name: array for name, array in source.items() if array is not None}
  with pytest.raises(ValueError, match=r"cannot convert a\.bin") as caught:
    engine.convert(source, TABLE, EXPECTED, "a.bin")
  return str(caught.value).splitlines()[1:]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"extra": np.ones(1)}, "extra: expected one rule that matches, got 0"),
    ({"table": None}, "table: expected (5,), got nothing in the checkpoint"),
    ({"table": np.ones((5, 1))}, "table -> table: expected (5,), got (5, 1)"),
    (
      {"layers.12.out.bias": np.ones(2)},
      "layers.12.out.bias -> layer_12/out/bias: the model has no such"
      " parameter",
    ),
    (
      {"table": np.ones(5, np.int8)},
      "table -> table: expected floating point numbers, got int8",
    ),
    (
      {"table": np.ones(5, np.complex64)},
      "table -> table: expected floating point numbers, got complex64",
    ),
    (
      {"table": np.array([0, 0, np.nan, 0, 0])},
      "table -> table: expected finite float32 values, got nan",
    ),
    (
      {"table": np.full(5, 1e300)},
      "table -> table: expected finite float32 values, got 1e+300",
    ),
  ],
)
def test_a_problem_names_the_weight(changes, message):
  assert problems_with(**changes) == [f"  {message}"]


def test_all_problems_are_reported_at_once():
  found = problems_with(extra=np.ones(1), table=None)
  assert [line.split(":")[0].strip() for line in found] == ["extra", "table"]


def test_a_weight_of_another_name_is_listed_once():
  source = {f"model.{name}": array for name, array in weights().items()}
  with pytest.raises(ValueError, match="cannot convert") as caught:
    engine.convert(source, TABLE, EXPECTED, "a.bin")
  *names, missing = str(caught.value).splitlines()[1:]
  assert [line.split(":")[0].strip() for line in names] == [*source]
  assert missing == (
    "  layer_0/out/bias ... table, 5 arrays: got nothing in the checkpoint"
  )


def test_a_name_needs_exactly_one_rule():
  with pytest.raises(ValueError, match=r"table: expected one rule .* got 2"):
    engine.convert(
      weights(), [*TABLE, Rule("table", "other")], EXPECTED, "a.bin"
    )


def test_a_parameter_without_a_name_is_refused():
  params = {"table": np.ones(5), "head/kernel": np.ones(2)}
  with pytest.raises(
    ValueError, match=r"(?s)express as X.*head/kernel: there is"
  ):
    engine.restore(params, TABLE, "X")


def test_patches_are_read_row_column_channel():
  weight = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
  kernel = PATCHES.into(weight)
  row, column, channel = 2, 1, 0
  at = (row * 4 + column) * 3 + channel
  np.testing.assert_array_equal(kernel[at], weight[:, channel, row, column])
  np.testing.assert_array_equal(PATCHES.out(kernel), weight)


TABLES = {
  "bert": (encoders.BERT.rules, lambda path: path.startswith("text/")),
  "clip": (encoders.CLIP.rules, lambda path: path.startswith("visual/")),
  "vit": (encoders.VIT.rules, lambda path: path.startswith("visual/")),
  "dinov2": (encoders.DINOV2.rules, lambda path: path.startswith("visual/")),
  "deepke": (deepke.RULES, lambda path: True),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_one_place_for_each_parameter(name):
  rules, takes = TABLES[name]
  config = tiny.tiny_config()
  paths = filter(takes, parameters.param_shapes(config))
  crops = ("visual/embed/grounded_position", "visual/embed/detected_position")
  no_norm = (*crops, "visual/embed/norm/scale", "visual/embed/norm/bias")
  lacking = {"clip": crops, "vit": no_norm, "dinov2": no_norm}
  params = {
    path: np.zeros((3 * 4, 2) if "patch" in path else (2, 2))
    for path in paths
    if path not in lacking.get(name, ())
  }
  restored = engine.restore(params, rules, name)
  assert len(restored) == len(params)
  for weight in restored:
    assert len(engine.matching(rules, weight)) == 1
