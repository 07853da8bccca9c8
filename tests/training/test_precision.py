"""The dtype of a run: by the device, by its record, or by the config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_run

from configs import mnre, quickstart
from ifa_jax import models
from ifa_jax.models import replace
from ifa_jax.models.base import AUTO_DTYPE
from ifa_jax.training import experiment, loop
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.run_folder import RunFolder


def asked(dtype=AUTO_DTYPE):
  return RunConfig(weights="random", model=models.ModelConfig(dtype=dtype))


def begun_with(folder, model):
  """Returns the folder of a run with the given model section."""
  run = RunFolder(folder)
  run.write_json("config.json", {"config": {"model": model}, "dataset": {}})
  return run


@pytest.mark.parametrize(
  ("backend", "wanted"),
  [("cpu", "float32"), ("gpu", "bfloat16"), ("tpu", "bfloat16")],
)
def test_auto_selects_the_dtype_of_the_device(monkeypatch, backend, wanted):
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  config = asked()
  found = resolve(config)
  assert found == asked(wanted)
  assert config == asked()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_users_word_stays(monkeypatch, tmp_path, dtype):
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  begun = begun_with(tmp_path, {"dtype": "bfloat16"})
  assert resolve(asked(dtype), begun) == asked(dtype)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_goes_on_with_its_own(monkeypatch, tmp_path, backend, dtype):
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  begun = begun_with(tmp_path, {"dtype": dtype})
  assert resolve(asked(), begun) == asked(dtype)


def test_a_folder_without_a_run_says_nothing(tmp_path):
  assert resolve(asked(), RunFolder(tmp_path)) == asked("float32")
  (tmp_path / "config.json").write_text("[]")
  assert resolve(asked(), RunFolder(tmp_path)) == asked("float32")


def test_configs_leave_it_to_the_device_where_there_is_a_choice():
  for module in (mnre, quickstart):
    for variant in module.VARIANTS:
      model = module.get_config(variant).model
      assert ("dtype" in model) == (variant != "pcnn")
      assert model.get("dtype", "auto") == "auto"


def dtypes_of(jaxpr, names):
  """Yields (primitive, dtype) of results of some primitives, at any depth."""
  for equation in jaxpr.eqns:
    if equation.primitive.name in names:
      yield equation.primitive.name, str(equation.outvars[0].aval.dtype)
    for value in jax.tree.leaves(
      list(equation.params.values()),
      is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr"),
    ):
      inner = getattr(value, "jaxpr", value)
      if hasattr(inner, "eqns"):
        yield from dtypes_of(inner, names)


def test_a_model_without_a_resolved_dtype_is_not_built():
  with pytest.raises(ValueError, match=r"model\.dtype: expected float32 or bf"):
    models.build(models.ModelConfig(dtype=AUTO_DTYPE))


def test_norms_softmax_and_logits_stay_in_float32():
  config = tiny.tiny_config(num_layers=1, dtype="bfloat16")
  params = tiny.perturbed_params(config)
  batch = tiny.random_batch(config, 3)

  def apply(params):
    return models.build(config).apply({"params": params}, batch, capture=True)

  # Both are in every norm and softmax.
  found = set(dtypes_of(jax.make_jaxpr(apply)(params).jaxpr, ("rsqrt", "exp")))
  assert found == {("rsqrt", "float32"), ("exp", "float32")}
  output = jax.jit(apply)(params)
  assert output.logits.dtype == jnp.float32
  assert output.text_hidden.dtype == jnp.bfloat16
  np.testing.assert_allclose(output.text_attention.sum(-1), 1, atol=5e-6)
  exact = models.build(replace(config, dtype="float32"))
  wanted = jax.jit(exact.apply)({"params": params}, batch).logits
  gap = np.abs(output.logits - wanted).max()
  assert 0 < gap < 0.05


@pytest.mark.usefixtures("fast_compilation")
def test_a_run_in_bfloat16_goes_on_and_is_scored_on_a_cpu(data_dir, tmp_path):
  text_only = {"vision": None, "dtype": "bfloat16"}
  groups = {"new": {"pattern": "relation_head/.*"}}
  config = tiny_run.tiny_run_config(
    data_dir,
    model=text_only,
    train={"max_steps": 2},
    optim={"groups": groups | {"encoder": {"pattern": "text/.*"}}},
  )
  folder = RunFolder(tmp_path / "run")
  scores = loop.run(tiny_run.build(config), folder.path)
  assert 0 <= scores["accuracy"] <= 1
  again = tiny_run.merged(config, {"model": {"dtype": "auto"}})
  assert tiny_run.build(again).config.model.dtype == "float32"
  built = experiment.build(resolve(RunConfig.from_dict(again), folder))
  assert built.config.model.dtype == "bfloat16"
  assert loop.run(built, folder.path) == scores
