"""The prediction step: removed parts of a batch affect no probability."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ifa_jax import models
from ifa_jax.inference.predict_step import PredictionStep
from ifa_jax.models import parameters
from ifa_jax.models.ifaformer.layer_pair import LayerPair
from ifa_jax.training.eval_step import EvalStep

pytestmark = pytest.mark.slow

FIELDS = ("image", "grounded", "detected")
# Long enough for two lengths below it.
TEXT_LEN = 20


def make_config(**changes):
  config = tiny.tiny_config(num_layers=1, **changes)
  text = models.replace(config.text, max_len=TEXT_LEN)
  return models.replace(config, text=text)


def make_batch(config, num_tokens, there=FIELDS, rows=1):
  """Returns posts of some tokens that have all or nothing of each field."""
  batch = tiny.random_batch(config, rows, TEXT_LEN, seed=rows)
  if config.vision is not None:
    masks = {name: getattr(batch, f"{name}_mask") for name in FIELDS}
    batch = batch.replace(
      **{f"{k}_mask": np.full_like(v, k in there) for k, v in masks.items()}
    )
  real = np.zeros((rows, TEXT_LEN), bool)
  real[:, :num_tokens] = True
  return batch.replace(attention_mask=real)


@functools.cache
def whole_step(config):
  return jax.jit(EvalStep(models.build(config)))


@pytest.mark.parametrize(
  ("fusion", "rows", "there"),
  [
    ("paper", 1, ()),
    ("paper", 1, ("detected",)),
    ("paper", 3, ("image",)),
    ("released", 1, ("detected",)),
  ],
)
def test_probabilities_are_those_of_the_whole_batch(fusion, rows, there):
  config = make_config(fusion=fusion)
  params = tiny.perturbed_params(config)
  batch = make_batch(config, 7, there, rows)
  found = PredictionStep(config, params, (12,))(batch)
  wanted = whole_step(config)(params, batch)
  np.testing.assert_allclose(found, wanted, atol=5e-6)
  # The rest does count.
  other = make_batch(config, 7, ("grounded",), rows)
  assert abs(whole_step(config)(params, other) - wanted).max() > 1e-4


@pytest.mark.parametrize(
  ("rows", "num_tokens", "length"),
  [(1, 4, 8), (1, 8, 8), (1, 9, 16), (1, 17, 20), (3, 4, 12), (3, 13, 20)],
)
def test_one_post_is_padded_by_little_and_a_batch_to_its_bucket(
  rows, num_tokens, length
):
  config = make_config(vision=None)
  step = PredictionStep(config, tiny.perturbed_params(config), (12,))
  shrunk = step.shrink(make_batch(config, num_tokens, rows=rows))
  assert shrunk.input_ids.shape == (rows, length)
  assert (
    shrunk.attention_mask.all(axis=1).tolist() == [num_tokens == length] * rows
  )


def test_what_only_some_posts_have_stays():
  config = make_config()
  step = PredictionStep(config, tiny.perturbed_params(config), ())
  masks = {f"{name}_mask": [] for name in FIELDS}
  for there in (("image",), ("detected",)):
    batch = make_batch(config, 7, there)
    for name, found in masks.items():
      found.append(getattr(batch, name))
  batch = make_batch(config, 7, rows=2).replace(
    **{name: np.concatenate(found) for name, found in masks.items()}
  )
  shrunk = step.shrink(batch)
  assert shrunk.grounded is None
  assert shrunk.grounded_mask is None
  for name in ("image", "image_mask", "detected", "detected_mask"):
    np.testing.assert_array_equal(getattr(shrunk, name), getattr(batch, name))


def test_a_model_that_sees_what_is_absent_gets_it():
  config = make_config(fusion="released")
  step = PredictionStep(config, tiny.perturbed_params(config), (12,))
  batch = make_batch(config, 7, ())
  assert jax.tree.all(jax.tree.map(np.array_equal, step.shrink(batch), batch))


def test_posts_of_one_length_are_compiled_once(caplog):
  config = make_config(vision=None)
  step = PredictionStep(config, tiny.perturbed_params(config), ())

  def num_compiled(*lengths):
    caplog.clear()
    with jax.log_compiles():
      for length in lengths:
        step(make_batch(config, length))
    return sum("Compiling" in line for line in caplog.messages)

  assert num_compiled(7) == 1
  assert num_compiled(5, 8, 7) == 0
  assert num_compiled(9) == 1


def test_kernels_are_turned_and_nothing_else():
  params = tiny.perturbed_params(make_config())
  stored = parameters.store_kernels(params, "float32")
  head, head_turned = (x["relation_head"] for x in (params, stored))
  np.testing.assert_array_equal(head_turned["kernel"], head["kernel"].T)
  np.testing.assert_array_equal(head_turned["bias"], head["bias"])
  table = params["text"]["embed"]["word"]["embedding"]
  assert stored["text"]["embed"]["word"]["embedding"] is table
  read = parameters.read_kernels(stored, "float32")
  assert jax.tree.all(jax.tree.map(np.array_equal, read, params))


def test_kernels_are_rounded_once_and_no_prediction_changes():
  config = make_config(dtype="bfloat16")
  params = tiny.perturbed_params(config)
  stored = parameters.store_kernels(params, config.dtype)
  layer = stored["visual"]["layer_0"]
  assert layer["mlp_in"]["kernel"].dtype == jnp.bfloat16
  assert layer["mlp_in"]["bias"].dtype == jnp.float32
  assert stored["relation_head"]["kernel"].dtype == jnp.float32
  batch = make_batch(config, 12)
  predict = jax.jit(EvalStep(models.build(config)))
  np.testing.assert_array_equal(predict(stored, batch), predict(params, batch))
  found = PredictionStep(config, params, (12,))(batch)
  np.testing.assert_allclose(found, predict(params, batch), rtol=0, atol=5e-6)


@pytest.mark.parametrize(
  ("changes", "num_kinds"),
  [
    ({}, 1),
    # As released, the first pair reads raw states, and none an earlier pair.
    ({"fusion": "released"}, 2),
    ({"exchange": models.Exchange(text_lends_late=True)}, 2),
  ],
)
def test_pairs_that_compute_the_same_are_traced_once(
  changes, num_kinds, monkeypatch
):
  config = tiny.tiny_config(num_layers=5, **changes)
  params, batch = tiny.perturbed_params(config), tiny.random_batch(config, 1)
  traced, run = [], LayerPair.run
  monkeypatch.setattr(
    LayerPair,
    "run",
    lambda *args, **options: traced.append(args) or run(*args, **options),
  )
  # Not traced by any other test.
  model = models.build(models.replace(config, head_dropout_rate=0.07))
  found = jax.jit(EvalStep(model))(params, batch)
  assert len(traced) == num_kinds
  whole = model.apply({"params": params}, batch, capture=True)
  np.testing.assert_allclose(
    found, jax.nn.softmax(whole.logits), rtol=0, atol=5e-6
  )
