"""The configs: they build, they are strict, and their models have this size."""

import dataclasses
import functools
import json
import math

import jax
import optim_section
import pytest

from configs import mnre
from ifa_jax.models import (
  FUSIONS,
  ModelConfig,
  TextConfig,
  VisionConfig,
  parameters,
  registry,
  replace,
  variants,
)
from ifa_jax.models.config import RELEASED
from ifa_jax.training import optimizer
from ifa_jax.training.config import baselines

pytestmark = pytest.mark.slow

# The others are tested in test_config_baselines.py.
VARIANTS = [n for n in mnre.VARIANTS if n not in baselines.VARIANTS]

# bert-base-uncased as transformers' BertModel, 30522 words.
BERT_BASE = 109_482_240
# openai/clip-vit-base-patch32 as transformers' CLIPVisionModel.
CLIP_VIT_B32 = 87_456_000
# bert-large-uncased and openai/clip-vit-large-patch14, likewise.
BERT_LARGE, CLIP_VIT_L14 = 335_141_888, 303_179_776


@functools.cache
def variant(name):
  return mnre.get_config(name)


def model_of(config):
  section = config.model.to_dict() | {"dtype": "float32"}
  return registry.from_dict(section)


@functools.cache
def shapes(name):
  config = model_of(variant(name))
  return jax.eval_shape(
    lambda: parameters.init_params(config, jax.random.key(0))
  )


def size(tree):
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def norm(dim):
  return 2 * dim


def layer(dim, mlp_dim):
  attention = 4 * (dim * dim + dim)
  mlp = 2 * dim * mlp_dim + mlp_dim + dim
  return attention + mlp + 2 * norm(dim)


def text_size(dim, layers, mlp_dim):
  tables = (30_522 + 4 + 512 + 2) * dim
  return tables + norm(dim) + layers * layer(dim, mlp_dim)


def visual_size(dim, layers, mlp_dim, patch_size=32):
  patch, class_token = patch_size**2 * 3 * dim, dim
  grid = (224 // patch_size) ** 2
  positions = (1 + grid + 3 * 4 * 4 + 3 * 2 * 2) * dim
  embed = patch + class_token + positions + norm(dim)
  return embed + layers * layer(dim, mlp_dim)


# Width, layers and width of the MLPs.
SIZES = {"tiny": (64, 2, 128), "large": (1024, 24, 4096)}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts(name):
  sizes = SIZES.get(name, (768, 12, 3072))
  tree = shapes(name)
  assert size(tree["text"]) == text_size(*sizes)
  assert size(tree["relation_head"]) == 2 * sizes[0] * 23 + 23
  if name == "text":
    assert set(tree) == {"text", "relation_head"}
  else:
    patch_size = 14 if name == "large" else 32
    assert size(tree["visual"]) == visual_size(*sizes, patch_size)


def test_full_size_counts_are_those_of_the_published_encoders():
  pooler, markers = 768 * 768 + 768, 4 * 768
  assert text_size(768, 12, 3072) == BERT_BASE - pooler + markers
  last_norm, crops = norm(768), (48 + 12) * 768
  assert visual_size(768, 12, 3072) == CLIP_VIT_B32 - last_norm + crops


def test_large_counts_are_those_of_the_published_encoders():
  pooler, markers = 1024 * 1024 + 1024, 4 * 1024
  assert text_size(*SIZES["large"]) == BERT_LARGE - pooler + markers
  last_norm, crops = norm(1024), (48 + 12) * 1024
  found = visual_size(*SIZES["large"], patch_size=14)
  assert found == CLIP_VIT_L14 - last_norm + crops
  assert round(size(shapes("large")) / 1e6) == 637


def test_large_reads_squares_of_its_own():
  model = model_of(variant("large"))
  fields = {name: (count, side) for name, count, side in model.picture_slots}
  assert fields == {"image": (1, 224), "grounded": (3, 56), "detected": (3, 28)}


@pytest.mark.parametrize("name", VARIANTS)
def test_optimizer_groups_cover_the_model(name):
  config, tree = variant(name).to_dict(), shapes(name)
  patterns = {k: g["pattern"] for k, g in config["optim"]["groups"].items()}
  groups = optimizer.group_parameters(tree, patterns)
  assert set(jax.tree.leaves(groups["text"])) == {"encoder"}
  assert set(jax.tree.leaves(groups["relation_head"])) == {"new"}
  if name != "text":
    embed = groups["visual"]["embed"]
    crops = "encoder" if name == "released" else "new"
    assert embed["grounded_position"] == embed["detected_position"] == crops
    assert embed["position"] == embed["class_token"] == "encoder"
  optimizer.make_optimizer(optim_section.read(config["optim"]), tree, 10)


def test_the_released_head_is_frozen_and_everything_else_decays():
  section = variant("released").optim
  assert section.groups.new.peak_lr == 0
  mask = optimizer.decay_mask(shapes("released"), section.decay_exclude)
  assert all(jax.tree.leaves(mask))
  usual = optimizer.decay_mask(
    shapes("text"), variant("text").optim.decay_exclude
  )
  assert usual["relation_head"] == {"kernel": True, "bias": False}
  assert usual["text"]["embed"]["norm"] == {"scale": False, "bias": False}


LARGE = {"hidden_dim": 1024, "num_layers": 24, "num_heads": 16}
MODELS = {
  "objects": ModelConfig(),
  "large": ModelConfig(
    text=TextConfig(mlp_dim=4096, **LARGE),
    vision=VisionConfig(patch_size=14, mlp_dim=4096, **LARGE),
  ),
  "vanilla": ModelConfig(use_objects=False),
  "no_text_attention": ModelConfig(use_objects=False, text_attention=False),
  "text": ModelConfig(vision=None),
  "released": ModelConfig(
    fusion="released", vision=VisionConfig(crop_position_stddev=1.0)
  ),
}


@pytest.mark.parametrize("name", MODELS)
def test_variants_describe_these_models(name):
  assert model_of(variant(name)) == MODELS[name]


def test_tiny_keeps_the_data_of_objects():
  tiny, full = variant("tiny"), variant("objects")
  assert tiny.data.to_dict() == full.data.to_dict()
  for key in ("image_size", "patch_size", "num_crops"):
    assert tiny.model.vision[key] == full.model.vision[key]
  assert tiny.model.text.vocab_size == full.model.text.vocab_size


def test_only_released_pads_to_one_length():
  single = [n for n in VARIANTS if not variant(n).data.text_buckets]
  assert single == ["released"]


@pytest.mark.parametrize("name", VARIANTS)
def test_configs_are_locked(name):
  config = mnre.get_config(name)
  for section in (config, config.data, config.model.text, config.optim):
    with pytest.raises(AttributeError):
      section.warmup_percnt = 1
  with pytest.raises(TypeError):
    config.train.batch_size = "many"


def test_an_unknown_variant_is_refused():
  with pytest.raises(
    ValueError, match=r"objects, .*, tiny, .*, found 'objcts'"
  ):
    mnre.get_config("objcts")


def test_an_exchange_switch_can_be_set_from_the_config():
  config = mnre.get_config("released")
  config.model.exchange.keys_as_values = False
  rules = model_of(config).rules
  assert rules == dataclasses.replace(RELEASED, keys_as_values=False)


ROUND_TRIPS = [
  *MODELS.values(),
  ModelConfig(text=TextConfig(vocab_size=7), dtype="bfloat16"),
  ModelConfig(vision=VisionConfig(image_mean=(0.5, 0.5, 0.5), patch_bias=True)),
  ModelConfig(exchange=dataclasses.replace(FUSIONS["paper"], visual_bias=1.0)),
]


@pytest.mark.parametrize("config", ROUND_TRIPS, ids=range(len(ROUND_TRIPS)))
def test_settings_read_back_equal_through_json(config):
  plain = json.loads(json.dumps(registry.to_dict(config)))
  assert plain == registry.to_dict(config)
  assert registry.from_dict(plain) == config
  assert hash(registry.from_dict(plain)) == hash(config)


def test_settings_that_are_left_out_take_their_defaults():
  assert registry.from_dict({}) == ModelConfig()
  assert registry.from_dict({"text": {"num_layers": 12}}) == ModelConfig()


def test_departures_are_from_the_preset_of_the_fusion():
  plain = {"fusion": "released", "exchange": {"visual_bias": 0.0}}
  found = registry.from_dict(plain)
  assert found.rules == dataclasses.replace(RELEASED, visual_bias=0.0)
  same = {"fusion": "released", "exchange": {"visual_bias": 1.0}}
  assert registry.from_dict(same) == ModelConfig(fusion="released")
  unset = {"fusion": "released", "exchange": {"visual_bias": None}}
  assert registry.from_dict(unset) == ModelConfig(fusion="released")


def test_a_new_fusion_drops_departures():
  bent = ModelConfig(
    exchange=dataclasses.replace(FUSIONS["paper"], visual_bias=1.0)
  )
  assert replace(bent, fusion="released").rules == RELEASED
  assert replace(bent, use_objects=False).rules == bent.rules


@pytest.mark.parametrize(
  ("plain", "message"),
  [
    ({"fusoin": "paper"}, r"model\.fusoin: .*mean model\.fusion\?"),
    ({"text": {"hiden_dim": 8}}, r"model\.text\.hiden_dim: .*text\.hidden_dim"),
    ({"vision": {"patch": 8}}, r"model\.vision\.patch: no such setting"),
    ({"exchange": {"visualbias": 1.0}}, r"mean model\.exchange\.visual_bias"),
    ({"exchange": {"visualbias": None}}, r"model\.exchange\.visualbias"),
  ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_one(plain, message):
  with pytest.raises(KeyError, match=message):
    registry.from_dict(plain)


@pytest.mark.parametrize(
  ("plain", "message"),
  [
    (
      {"fusion": "both"},
      r"model\.fusion: expected one of paper, .*both",
    ),
    (
      {"fusion": "both", "exchange": {"visual_bias": 1.0}},
      r"model\.fusion: expected one of paper, .*both",
    ),
    ({"dtype": "float16"}, r"model\.dtype: expected one of float32"),
    (
      {"text": {"num_heads": 7}},
      r"model\.text\.num_heads: want a divisor of hidden_dim 768, found 7",
    ),
    (
      {"vision": {"num_heads": 7}},
      r"model\.vision\.num_heads: want a divisor of hidden_dim 768, found 7",
    ),
    ({"vision": {"num_layers": 6}}, r"vision\.num_layers: want .* 12, found 6"),
    ({"vision": {"hidden_dim": 60}}, r"vision\.hidden_dim: want .* 768"),
    ({"vision": {"image_size": 100}}, r"image_size: want a multiple .* 32"),
    (
      {"fusion": "released", "vision": {"num_heads": 6}},
      r"vision\.num_heads: want the text stream's 12, found 6",
    ),
    (
      {"use_image": False, "use_objects": False},
      r"model\.use_objects: want something to look at",
    ),
    (
      {"fusion": "released", "use_objects": False},
      r"model\.use_objects: want something to look at",
    ),
  ],
)
def test_models_that_cannot_be_are_refused(plain, message):
  with pytest.raises(ValueError, match=message):
    registry.from_dict(plain)


def test_head_counts_may_differ_where_no_layer_is_raw():
  assert registry.from_dict({"vision": {"num_heads": 6}}).vision.num_heads == 6


@pytest.mark.parametrize("name", [*variants.IFAFORMERS, *variants.BASELINES])
def test_a_model_is_named_after_its_row(name):
  made = variants.make(name, text=TextConfig(num_layers=12, vocab_size=7))
  assert variants.name_of(made) == name
