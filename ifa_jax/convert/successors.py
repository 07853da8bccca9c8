"""Checkpoints of MKGformer and HVFormer to this project's parameters.

Both share the names of DeepKE's IFAformer (`deepke.RULES`) and add those of
their fusion: zjunlp/MKGformer@6dc924d, liuxiyang641/HVFormer@9b6a662.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import deepke, engine, sources
from ifa_jax.convert.engine import Drop, Rule, linear, norm
from ifa_jax.convert.store import Converted, make_info
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig

_SHARED = [
  rule for rule in deepke.RULES if not rule.name.startswith("classifier.")
]
_FUSION = "model.encoder.text_layer.{}.intermediate.fusion_dense"
_AGGREGATION = "model.encoder.vision2text_layer_agg"
_EXPERTS = f"{_AGGREGATION}.moe_layer_wise_agg"
_HVFORMER_HEAD = "re_classifier.classifier"


def mkgformer_rules(config: MKGformerConfig) -> list[Rule | Drop]:
  """Returns the rules for a checkpoint of MKGformer."""
  first, rules = config.first_fused, []
  for layer in range(config.text.num_layers):
    name = _FUSION.format(layer)
    if layer < first:
      rules.append(Drop(name + ".{any}", "only the last layers fuse"))
    elif config.rules.fusion_bias:
      rules += linear(name, f"fusion_{layer - first}")
    else:
      # The equations have no bias there.
      weight, bias = linear(name, f"fusion_{layer - first}")
      rules += [weight, Drop(bias.name, "the equations have no such bias")]
  return [*_SHARED, *rules, *linear("classifier", "relation_head")]


def hvformer_rules(config: HVFormerConfig) -> list[Rule | Drop]:
  """Returns the rules for a checkpoint of HVFormer."""
  rules = []
  for depth in range(config.vision.num_layers + 1):
    name = f"{_AGGREGATION}.cross_modal_att_layer.{depth}"
    if depth not in config.depths:
      rules.append(Drop(name + ".{any}", "the text looks at three depths only"))
      continue
    path = f"look_{config.depths.index(depth)}"
    rules += [
      Drop(f"{name}.self_attn.vision_and_text_k_proj.{{any}}", "never used"),
      *linear(f"{name}.self_attn.text_q_proj", f"{path}/attention/query"),
      *linear(f"{name}.self_attn.vision_k_proj", f"{path}/attention/key"),
      *linear(f"{name}.self_attn.vision_v_proj", f"{path}/attention/value"),
      *linear(f"{name}.self_attn.out_proj", f"{path}/attention/out"),
      *norm(f"{name}.layer_norm1", f"{path}/norm"),
    ]
  return [
    *_SHARED,
    *rules,
    Rule(f"{_EXPERTS}.experts1", "experts_in"),
    Rule(f"{_EXPERTS}.experts2", "experts_out"),
    *linear(f"{_EXPERTS}.expert_router", "router"),
    *linear(_HVFORMER_HEAD, "relation_head"),
  ]


def from_mkgformer(
  checkpoint: str | os.PathLike, num_heads: int = 12, variant: str = "released"
) -> tuple[MKGformerConfig, dict[str, Any]]:
  """Reads a checkpoint of MKGformer's MRE code.

  Args:
    checkpoint: a `.pth` state dict. Nothing in it is executed.
    num_heads: of both streams.
    variant: "released" gives the released code's logits, "equations" reads the
      same weights by the equations.

  Returns:
    The model's config and its float32 parameters.

  Raises:
    ValueError: for a damaged file, or names and shapes of another model; all
      are listed.
  """
  converted = convert_mkgformer(checkpoint, num_heads, variant)
  return converted.model_config, converted.params  # pyright: ignore[reportReturnType]


def from_hvformer(
  checkpoint: str | os.PathLike, num_heads: int = 12
) -> tuple[HVFormerConfig, dict[str, Any]]:
  """Reads a checkpoint of HVFormer's code; see `from_mkgformer`."""
  converted = convert_hvformer(checkpoint, num_heads)
  return converted.model_config, converted.params  # pyright: ignore[reportReturnType]


def convert_mkgformer(
  checkpoint: str | os.PathLike, num_heads: int, variant: str
) -> Converted:
  """Converts as `from_mkgformer`; the result also lists the sources."""
  arrays = sources.read_weights(os.fspath(checkpoint))
  config = MKGformerConfig(
    **_sizes(arrays, num_heads, checkpoint), variant=variant
  )
  return _convert(arrays, config, mkgformer_rules(config), checkpoint)


def convert_hvformer(
  checkpoint: str | os.PathLike, num_heads: int
) -> Converted:
  """Converts as `from_hvformer`; the result also lists the sources."""
  arrays = sources.read_weights(os.fspath(checkpoint))
  config = HVFormerConfig(**_sizes(arrays, num_heads, checkpoint))
  return _convert(arrays, config, hvformer_rules(config), checkpoint)


def _sizes(
  arrays: Mapping[str, np.ndarray],
  num_heads: int,
  checkpoint: str | os.PathLike,
) -> dict[str, Any]:
  """Returns the fields of a `TwoStreamConfig` that the arrays determine."""
  head = arrays.get(f"{_HVFORMER_HEAD}.weight")
  named = arrays if head is None else {**arrays, "classifier.weight": head}
  read = deepke.read_sizes(named, num_heads, "released", checkpoint)
  return {
    "text": read.text,
    "vision": read.vision,
    "num_relations": read.num_relations,
  }


def _convert(
  arrays: Mapping[str, np.ndarray],
  config: System,
  rules: list[Rule | Drop],
  checkpoint: str | os.PathLike,
) -> Converted:
  path, expected = os.fspath(checkpoint), parameters.param_shapes(config)
  params = engine.convert(arrays, rules, expected, path)
  info = make_info(config.system)
  info["sources"]["checkpoint"] = sources.record(path, [path])
  info["dropped"]["checkpoint"] = engine.dropped(arrays, rules)
  return Converted(config, traverse_util.unflatten_dict(params, sep="/"), info)
