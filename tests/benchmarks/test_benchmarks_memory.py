"""Memory of an update, compared with sizes counted by hand."""

import jax
import pytest
import tiny

from benchmarks import memory
from configs import mnre
from ifa_jax.models import parameters
from ifa_jax.training.config.run_config import RunConfig

pytestmark = pytest.mark.slow


def config(dtype="float32", **train):
  found = mnre.get_config("tiny").to_dict()
  found["train"] |= {"batch_size": 32, "num_slices": 1} | train
  found["model"]["dtype"] = dtype
  return RunConfig.from_dict(found)


def test_a_linear_layer_keeps_its_input():
  def keep(params, x):
    return jax.vjp(lambda p: (x @ p).sum(), params)[1]

  shape = jax.ShapeDtypeStruct
  matrix, rows = shape((3, 5), "float32"), shape((7, 3), "float32")
  assert memory.size_of(jax.eval_shape(keep, matrix, rows)) == 7 * 3 * 4


def test_parameters_moments_and_gradients_are_counted():
  found = memory.estimate(config(), num_devices=1, text_len=48)
  model = tiny.tiny_config()
  assert memory.size_of(parameters.abstract_params(model)) == (
    4 * parameters.count_params(model)
  )
  size = found["parameters"]
  assert found["gradients"] == size
  # Two moments for each parameter, and a few counters.
  assert 2 * size < found["optimizer"] < 2 * size + 100


def test_residuals_are_of_the_rows_processed_at_once():
  whole = memory.estimate(config(), 1, 48)["residuals of 32 rows"]
  halved = memory.estimate(config(), 2, 48)["residuals of 16 rows"]
  sliced = memory.estimate(config(num_slices=4), 1, 48)
  assert whole == 2 * halved == 4 * sliced["residuals of 8 rows"]
  # The sum over slices, and those of a slice.
  assert sliced["gradients"] == 2 * sliced["parameters"]


def test_a_row_keeps_more_than_its_hidden_states():
  model = tiny.tiny_config(num_layers=2)
  short, long = (memory.residual_bytes(model, n) for n in (8, 16))
  # At least the inputs of each layer's six products, float32 of width 16.
  assert long - short > 2 * 6 * 8 * 16 * 4
  deeper = memory.residual_bytes(tiny.tiny_config(num_layers=3), 8)
  assert deeper > 1.3 * short


def test_half_precision_keeps_less_of_a_row():
  configs = config("bfloat16"), config()
  half, full = (memory.estimate(c, 1, 48) for c in configs)
  assert half["residuals of 32 rows"] < 0.8 * full["residuals of 32 rows"]


def test_devices_that_split_the_state_share_its_large_arrays():
  model, shape = config(parallel="fsdp"), jax.ShapeDtypeStruct
  large, small = shape((1024, 512), "float32"), shape((16, 16), "float32")
  found = memory.size_of([large, small], 8)
  assert found == 1024 * 512 * 4 / 8 + 16 * 16 * 4
  # The large arrays of `tiny` are its vocabulary and its patches, 32 x 32 x 3.
  parts = memory.estimate(model, num_devices=8, text_len=48)
  whole = memory.estimate(config(), num_devices=8, text_len=48)
  saved = 7 / 8 * (model.model.text.vocab_size + 32 * 32 * 3) * 64 * 4
  for name, count in (("parameters", 1), ("gradients", 1), ("optimizer", 2)):
    assert whole[name] - parts[name] == count * saved
  assert whole["residuals of 4 rows"] == parts["residuals of 4 rows"]


@pytest.mark.parametrize("parallel", ["jit", "fsdp"])
def test_a_compiled_update_has_the_state_and_more(parallel):
  found = memory.compiled(config(parallel=parallel), text_len=8)
  parts = memory.estimate(config(), num_devices=1, text_len=8)
  state = parts["parameters"] + parts["optimizer"]
  assert state < found["compiled: state and batch"] < 1.5 * state
  assert found["compiled: temporaries"] > parts["gradients"]


def test_compiling_wants_a_form_of_jit():
  wanted = "train.parallel: expected one of jit, fsdp, got 'pmap'"
  with pytest.raises(ValueError, match=wanted):
    memory.compiled(config(), text_len=8)


def test_an_indivisible_batch_is_refused():
  with pytest.raises(ValueError, match=r"expected a multiple of 24 .* got 32"):
    memory.estimate(config(num_slices=3), num_devices=8, text_len=48)
