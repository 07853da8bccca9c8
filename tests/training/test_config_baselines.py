"""The configs of the other systems: their models, rates and schedules."""

import functools

import jax
import numpy as np
import optim_section
import pytest

from configs import minilm, mnre, quickstart
from ifa_jax.models import parameters, registry
from ifa_jax.training import optimizer
from ifa_jax.training.config import baselines

pytestmark = pytest.mark.slow

FILES = {"mnre": mnre, "minilm": minilm, "quickstart": quickstart}
# Sizes that the data decides.
VOCABULARY, FEATURE_DIM = 100, 4096


def model_of(config):
  section = config["model"]
  if "dtype" in section:
    section["dtype"] = "float32"
  if "vocab_size" in section:
    section["vocab_size"] = VOCABULARY
  if "regions" in section:
    section["regions"]["feature_dim"] = FEATURE_DIM
  return registry.from_dict(section)


@functools.cache
def shapes(file, variant):
  model = model_of(FILES[file].get_config(variant).to_dict())
  return jax.eval_shape(
    lambda: parameters.init_params(model, jax.random.key(0))
  )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("variant", baselines.VARIANTS)
def test_groups_cover_every_model(file, variant):
  section = FILES[file].get_config(variant).to_dict()["optim"]
  patterns = {k: g["pattern"] for k, g in section["groups"].items()}
  labels = optimizer.group_parameters(shapes(file, variant), patterns)
  assert {*jax.tree.leaves(labels)} == {*patterns}
  optimizer.make_optimizer(
    optim_section.read(section), shapes(file, variant), 10
  )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("variant", baselines.VARIANTS)
def test_configs_are_locked_and_complete(file, variant):
  config = FILES[file].get_config(variant)
  with pytest.raises(AttributeError):
    config.optim.warmup_percnt = 1
  assert config.keys() == FILES[file].get_config("text").keys()
  for name in ("data", "optim", "train", "eval"):
    assert config[name].keys() == FILES[file].get_config("text")[name].keys()


@pytest.mark.parametrize(
  ("variant", "systems"),
  [
    ("pcnn", {"word", "head_position", "tail_position", "convolution"}),
    ("bert", {"text", "pooler"}),
    ("mtb", {"text"}),
    ("bert_sg", {"text", "fusion"}),
    ("bert_sg_att", {"text", "fusion"}),
    ("mega", {"text", "fusion"}),
    ("mega_released", {"text", "fusion"}),
    ("vilbert", {"text", "visual"}),
  ],
)
def test_variants_have_these_parts(variant, systems):
  parts = {p for p in shapes("mnre", variant) if not p.startswith("connection")}
  assert parts == systems | {"relation_head"}


@pytest.mark.parametrize("variant", ["bert", "mtb", "bert_sg", "mega"])
def test_berts_are_trained_as_in_megas_readme(variant):
  config = mnre.get_config(variant)
  section = config.optim
  assert [g.peak_lr for g in section.groups.values()] == [2e-5]
  assert (section.b1, section.b2, section.epsilon) == (0.9, 0.999, 1e-6)
  assert (section.bias_correction, section.clip_norm) == (False, 0)
  assert (config.train.batch_size, config.train.total_epochs) == (32, 10)
  decays = optimizer.decay_mask(shapes("mnre", variant), section.decay_exclude)
  assert decays["text"]["layer_0"]["mlp_norm"] == {
    "bias": False,
    "scale": False,
  }
  assert decays["text"]["layer_0"]["mlp_in"] == {"bias": False, "kernel": True}


def test_pcnn_is_trained_by_sgd_as_opennre_does():
  config = mnre.get_config("pcnn")
  section = config.optim.to_dict()
  params = {"a": {"kernel": np.ones(3, np.float32)}}
  tx = optimizer.make_optimizer(optim_section.read(section), params, 7600)
  state, rates = tx.init(params), []
  for _ in range(302):
    updates, state = tx.update(params, state, params)
    # L2 of 1e-5 on a weight of 1, coupled.
    rates.append(float(-updates["a"]["kernel"][0]) / (1 + 1e-5))
  np.testing.assert_allclose(rates[:3], [0, 0.1 / 300, 0.2 / 300], rtol=1e-5)
  np.testing.assert_allclose(rates[300], 0.1, rtol=1e-5)
  np.testing.assert_allclose(rates[301], 0.1 * 7299 / 7300, rtol=1e-5)
  assert (config.train.batch_size, config.train.total_epochs) == (160, 100)


def test_vilberts_head_has_a_rate_of_its_own():
  groups = mnre.get_config("vilbert").optim.groups
  assert {n: g.peak_lr for n, g in groups.items()} == {
    "new": 1e-4,
    "encoder": 2e-5,
  }


def test_only_the_released_mega_pads_to_one_length():
  single = [
    v for v in baselines.VARIANTS if not mnre.get_config(v).data.text_buckets
  ]
  assert single == ["mega_released"]
