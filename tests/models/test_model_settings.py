"""Settings of every system: they read back, and invalid ones are rejected."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny
import tiny_systems

from ifa_jax.models import (
  FUSIONS,
  ModelConfig,
  TextConfig,
  VisionConfig,
  build,
  registry,
  replace,
  variants,
)
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.config import ACTIVATIONS
from ifa_jax.models.exchange import RELEASED
from ifa_jax.models.layers import transformer
from ifa_jax.training.config.defaults import model_section

IFAFORMERS = {
  "paper": ModelConfig(),
  "released": ModelConfig(fusion="released"),
  "text only": ModelConfig(vision=None),
  "text sizes": ModelConfig(text=TextConfig(vocab_size=7), dtype="bfloat16"),
  "vision sizes": ModelConfig(
    vision=VisionConfig(image_mean=(0.5, 0.5, 0.5), patch_bias=True)
  ),
  "exchange": ModelConfig(
    exchange=dataclasses.replace(FUSIONS["paper"], visual_bias=1.0)
  ),
  "no text attention": ModelConfig(use_objects=False, text_attention=False),
}
CONFIGS = IFAFORMERS | tiny_systems.MODELS


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_read_back_equal_through_json(name):
  config = CONFIGS[name]
  plain = json.loads(json.dumps(registry.to_dict(config)))
  assert plain == registry.to_dict(config)
  assert plain["system"] == config.system
  assert registry.from_dict(plain) == config
  assert hash(registry.from_dict(plain)) == hash(config)


@pytest.mark.parametrize("system", registry.SYSTEMS)
def test_omitted_settings_take_their_defaults(system):
  kind, _ = registry.SYSTEMS[system]
  assert registry.from_dict({"system": system}) == kind()


def test_the_default_system_is_ifaformer():
  assert registry.from_dict({}) == ModelConfig()
  assert registry.from_dict({"text": {"num_layers": 12}}) == ModelConfig()


def test_the_defaults_of_mega_are_the_papers():
  config = MEGAConfig()
  assert (config.variant, config.top_k, config.distance) == ("paper", 1, "l2")
  assert config.regions == RegionConfig(num_regions=10, feature_dim=None)


@pytest.mark.parametrize("name", tiny_systems.MODELS)
def test_other_systems_read_words_regions_or_pixels(name):
  config = tiny_systems.MODELS[name]
  assert config.sees_pictures == (name not in tiny_systems.TEXT_ONLY)
  assert bool(config.picture_slots) == (config.system in variants.OF_PIXELS)
  assert config.reads_alignment == name.startswith("mega")
  assert config.reads_words == (config.text is None) == (name == "pcnn")


def test_exchange_changes_the_preset_of_the_fusion():
  for value, exchange in (
    (0.0, dataclasses.replace(RELEASED, visual_bias=0.0)),
    # Without a difference there is no exchange, so equal models are equal.
    (1.0, None),
    (None, None),
  ):
    plain = {"fusion": "released", "exchange": {"visual_bias": value}}
    expected = ModelConfig(fusion="released", exchange=exchange)
    assert registry.from_dict(plain) == expected


@pytest.mark.parametrize(
  ("system", "field", "change"),
  [
    ("mkgformer", "fusion_rules", {"fused_layers": 3}),
    ("hvpnet", "prefix_rules", {"pooled_gate": True}),
  ],
)
def test_rules_change_the_preset_of_the_variant(system, field, change):
  plain = {"system": system, "variant": "released"}
  preset = registry.from_dict(plain)
  changed = registry.from_dict(plain | {field: change})
  assert changed.rules == dataclasses.replace(preset.rules, **change)
  (name,) = change
  same = {name: getattr(preset.rules, name)}
  assert registry.from_dict(plain | {field: same}) == preset
  assert replace(changed, variant="equations").rules == (
    registry.from_dict({"system": system}).rules
  )


@pytest.mark.parametrize("row", ["objects", "mkgformer_released", "hvpnet"])
def test_flags_can_depart_from_a_preset(row):
  model = variants.make(row)
  section = model_section(model)
  assert registry.from_dict(_plain(section)) == model
  section[model.presets.field].head_dropout = not model.rules.head_dropout
  found = registry.from_dict(_plain(section)).rules
  assert found.head_dropout != model.rules.head_dropout
  assert found == dataclasses.replace(
    model.rules, head_dropout=found.head_dropout
  )


def _plain(section):
  return section.to_dict() | {"dtype": "float32"}


def test_a_model_without_vision_is_the_text_row():
  bare = ModelConfig(vision=None, use_objects=False, text_attention=False)
  assert variants.name_of(bare) == "text"


def test_a_stream_that_reads_no_text_sees_no_padding():
  rules = {"exchange": {"padding_masked_in_visual": False}}
  assert registry.from_dict(rules).sees_padding
  assert not registry.from_dict(rules | {"text_attention": False}).sees_padding


def test_a_raw_view_mixes_padding_and_absent_crops_with_the_rest():
  raw = registry.from_dict({"exchange": {"raw_first_layer": True}})
  assert raw.sees_padding
  assert raw.sees_absent
  assert not raw.packs_texts


def test_a_preset_fuses_the_layers_that_there_are_with_changed_rules():
  plain = {"system": "mkgformer", "text": {"num_layers": 2}}
  plain |= {"vision": {"num_layers": 2}}
  changed = plain | {"fusion_rules": {"query": "context"}}
  assert registry.from_dict(plain).rules.fused_layers == 2
  assert registry.from_dict(changed).rules.fused_layers == 2
  with pytest.raises(ValueError, match="expected 0 to 2, got 4"):
    registry.from_dict(plain | {"fusion_rules": {"fused_layers": 4}})


def test_activations_have_functions():
  assert {*transformer.ACTIVATIONS} == {*ACTIVATIONS}


def test_a_model_without_slots_for_crops_has_no_table_for_them():
  config = tiny.tiny_config(num_layers=1)
  vision = dataclasses.replace(config.vision, num_crops=0)
  bare = dataclasses.replace(config, vision=vision)
  assert [slot[0] for slot in bare.picture_slots] == ["image"]
  batch = tiny.random_batch(dataclasses.replace(config, use_objects=False), 2)
  params = build(bare).init(jax.random.key(0), batch)["params"]
  assert "detected_position" not in params["visual"]["embed"]
  assert np.isfinite(build(bare).apply({"params": params}, batch).logits).all()
  with pytest.raises(ValueError, match="expected objects or the whole picture"):
    dataclasses.replace(bare, use_image=False)


def test_a_new_fusion_drops_exchange():
  changed = IFAFORMERS["exchange"]
  assert replace(changed, fusion="released").rules == RELEASED
  assert replace(changed, use_objects=False).rules == changed.rules


@pytest.mark.parametrize(
  ("plain", "message"),
  [
    ({"fusoin": "paper"}, r"model\.fusoin: .*mean model\.fusion\?"),
    ({"text": {"hiden_dim": 8}}, r"model\.text\.hiden_dim: .*text\.hidden_dim"),
    ({"vision": {"patch": 8}}, r"model\.vision\.patch: no such setting"),
    ({"exchange": {"visualbias": 1.0}}, r"mean model\.exchange\.visual_bias"),
    ({"exchange": {"visualbias": None}}, r"model\.exchange\.visualbias"),
    ({"system": "bert", "poolings": "cls"}, r"poolings: .* mean model.pooling"),
    ({"system": "pcnn", "word_dims": 5}, r"word_dims: .* mean model.word_dim"),
  ],
)
def test_an_unknown_setting_is_rejected_with_the_nearest_one(plain, message):
  with pytest.raises(KeyError, match=message):
    registry.from_dict(plain)


HEADS = {"num_heads": 7}
NEITHER = {"structural": False, "semantic": False}
INVALID = {
  "ifaformer": [
    ({"fusion": "both"}, "fusion: .* one of paper, released, .*both"),
    (
      {"fusion": "both", "exchange": {"visual_bias": 1.0}},
      "fusion: .* one of paper, released, .*both",
    ),
    ({"text": HEADS}, "text.num_heads: expected a divisor .* 768, got 7"),
    ({"vision": HEADS}, "vision.num_heads: expected a divisor .* 768, got 7"),
    ({"vision": {"num_layers": 6}}, "vision.num_layers: expected .* 12, got 6"),
    ({"vision": {"hidden_dim": 60}}, "vision.hidden_dim: expected .* 768"),
    (
      {"vision": {"image_size": 100}},
      "image_size: expected a multiple of patch_size 32, got 100",
    ),
    (
      {"fusion": "released", "vision": {"num_heads": 6}},
      "vision.num_heads: expected the text stream's 12, got 6",
    ),
    (
      {"use_image": False, "use_objects": False},
      "use_objects: expected objects or the whole picture",
    ),
    (
      {"fusion": "released", "use_objects": False},
      "use_objects: expected objects or the whole picture",
    ),
  ],
  "mkgformer": [
    (
      {"vision": {"image_size": 100}},
      "image_size: expected a multiple of patch_size 32, got 100",
    ),
    ({"vision": {"num_layers": 6}}, "vision.num_layers: expected .* 12, got 6"),
  ],
  "pcnn": [({"kernel_size": 4}, "kernel_size: expected an odd number, got 4")],
  "bert": [({"pooling": "mean"}, "pooling: .* one of cls, entity_start, ")],
  "mega": [
    ({"variant": "release"}, "variant: .* one of paper, released, "),
    ({"distance": "cos"}, "distance: .* one of l2, sql2, .* 'cos'"),
    ({"top_k": -1}, r"top_k: expected 0 \(all\) to .* 10, got -1"),
    ({"top_k": 11}, r"top_k: expected 0 \(all\) to .* 10, got 11"),
    ({"regions": None}, "regions: expected RegionConfig"),
    (
      {"variant": "released"} | NEITHER,
      "variant: expected paper .*, got released",
    ),
  ],
  "vilbert": [
    ({"pooling": "cls"}, "pooling: .* one of entity_start, native_mul"),
    ({"vision": HEADS}, "vision.num_heads: expected a divisor .* 1024, got 7"),
    ({"connection": HEADS}, "connection.num_heads: expected a divisor"),
    (
      {"connection": {"num_layers": 7}},
      "connection.num_layers: expected 1 to 6, .*, got 7",
    ),
    ({"connection": {"num_layers": 0}}, "connection.num_layers: .*, got 0"),
    ({"text": {"num_layers": 5}}, "connection.num_layers: expected 1 to 5"),
  ],
}
for system in ("ifaformer", "bert", "mega", "vilbert"):
  INVALID[system] += [
    ({"dtype": "float16"}, "dtype: .* one of float32, bfloat16"),
    ({"text": HEADS}, "text.num_heads: expected a divisor of hidden_dim 768"),
  ]


@pytest.mark.parametrize(
  ("system", "changes", "message"),
  [(name, *case) for name, cases in INVALID.items() for case in cases],
)
def test_invalid_models_are_rejected(system, changes, message):
  with pytest.raises(ValueError, match=rf"^model\.(\w+\.)?{message}"):
    registry.from_dict({"system": system} | changes)


@pytest.mark.parametrize("top_k", [0, 10])
def test_mega_keeps_all_objects_or_any_number_of_them(top_k):
  config = registry.from_dict({"system": "mega", "top_k": top_k})
  assert config.top_k == top_k


def test_head_counts_may_differ_without_a_raw_layer():
  assert registry.from_dict({"vision": {"num_heads": 6}}).vision.num_heads == 6
