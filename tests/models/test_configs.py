"""Config files: their models, sizes, strictness and optimizer groups."""

import dataclasses
import functools
import math

import jax
import optim_section
import pytest

from configs import mnre
from ifa_jax.models import (
  ModelConfig,
  TextConfig,
  VisionConfig,
  parameters,
  registry,
  variants,
)
from ifa_jax.models.exchange import RELEASED
from ifa_jax.training import optimizer
from ifa_jax.training.config import baselines, successors

pytestmark = pytest.mark.slow

# The others are tested in tests/training.
_OTHERS = {*baselines.VARIANTS, *successors.VARIANTS}
VARIANTS = [n for n in mnre.VARIANTS if n not in _OTHERS]

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
  elif name == "ifaformer_caption":
    assert size(tree["caption"]) == text_size(*sizes)
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


def test_large_reads_pictures_of_its_own_sizes():
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
  if name not in ("text", "ifaformer_caption"):
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


def test_an_unknown_variant_is_rejected():
  with pytest.raises(
    ValueError, match=r"configs/mnre.py: .* objects, .*, tiny, .* 'objcts'"
  ):
    mnre.get_config("objcts")


def test_an_exchange_switch_can_be_set_from_the_config():
  config = mnre.get_config("released")
  config.model.exchange.keys_as_values = False
  rules = model_of(config).rules
  assert rules == dataclasses.replace(RELEASED, keys_as_values=False)


@pytest.mark.parametrize("name", [*variants.ROWS])
def test_a_model_is_named_after_its_row(name):
  text = TextConfig(num_layers=12, vocab_size=7)
  streams = {"caption": text} if name == "ifaformer_caption" else {}
  made = variants.make(name, text=text, **streams)
  assert variants.name_of(made) == name
