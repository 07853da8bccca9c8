"""Checkpoints of MKGformer and HVFormer, by the names of their code."""

import jax
import numpy as np
import pytest
import tiny
import torch
from flax import traverse_util

from ifa_jax.convert import deepke, engine, successors
from ifa_jax.models import TextConfig, VisionConfig, parameters
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig

SIZES = {"hidden_dim": 16, "num_layers": 5, "num_heads": 2}
SHAPES = {
  "text": TextConfig(vocab_size=30, max_len=16, mlp_dim=24, **SIZES),
  "vision": VisionConfig(image_size=16, patch_size=4, mlp_dim=20, **SIZES),
  "num_relations": 5,
}
MKGFORMER = MKGformerConfig(**SHAPES, variant="released")
HVFORMER = HVFormerConfig(**SHAPES)
_LOOK = "model.encoder.vision2text_layer_agg.cross_modal_att_layer"
# Weights of the released code that are never used.
UNUSED = {
  "mkgformer": (
    "model.text_pooler.dense.weight",
    "model.encoder.text_layer.0.intermediate.fusion_dense.bias",
  ),
  "hvformer": (
    f"{_LOOK}.1.layer_norm1.bias",
    f"{_LOOK}.0.self_attn.vision_and_text_k_proj.weight",
    "model.vision_post_layernorm.bias",
  ),
}


def write(path, config, rules):
  """Writes a checkpoint; returns the parameters it holds."""
  params = tiny.perturbed_params(config)
  flat = traverse_util.flatten_dict(params, sep="/")
  arrays = engine.restore(flat, rules(config), config.system)
  for name in UNUSED[config.system]:
    arrays[name] = np.zeros(3, np.float32)
  torch.save({k: torch.from_numpy(x) for k, x in arrays.items()}, path)
  return flat


@pytest.mark.parametrize(
  ("config", "rules", "read", "options"),
  [
    (
      MKGFORMER,
      successors.mkgformer_rules,
      successors.convert_mkgformer,
      successors.MKGformerOptions,
    ),
    (
      HVFORMER,
      successors.hvformer_rules,
      successors.convert_hvformer,
      deepke.Heads,
    ),
  ],
)
def test_a_checkpoint_is_read_back(config, rules, read, options, tmp_path):
  written = write(tmp_path / "best_model.pth", config, rules)
  found = read(tmp_path / "best_model.pth", options(num_heads=2))
  assert found.model_config == config
  flat = traverse_util.flatten_dict(found.params, sep="/")
  assert flat.keys() == written.keys()
  for path, array in written.items():
    np.testing.assert_array_equal(flat[path], array)


def test_the_equations_read_the_last_three_layers(tmp_path):
  write(tmp_path / "m.pth", MKGFORMER, successors.mkgformer_rules)
  (released, theirs, *_), (config, params, *_) = (
    successors.convert_mkgformer(
      tmp_path / "m.pth", successors.MKGformerOptions(2, variant)
    )
    for variant in ("released", "equations")
  )
  assert (released.rules.fused_layers, config.rules.fused_layers) == (4, 3)
  for layer in range(3):
    ours = params[f"fusion_{layer}"]
    assert ours.keys() == {"kernel"}
    np.testing.assert_array_equal(
      ours["kernel"], theirs[f"fusion_{layer + 1}"]["kernel"]
    )
  shapes = parameters.param_shapes(config)
  assert len(jax.tree.leaves(params)) == len(shapes)


def test_another_models_checkpoint_is_refused(tmp_path):
  write(tmp_path / "h.pth", HVFORMER, successors.hvformer_rules)
  with pytest.raises(ValueError, match="cannot convert"):
    successors.convert_mkgformer(
      tmp_path / "h.pth", successors.MKGformerOptions(num_heads=2)
    )
