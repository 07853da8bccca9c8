"""Checkpoints of MKGformer and HVFormer to this project's parameters.

Both share the names of DeepKE's IFAformer (`deepke.RULES`) and add those of
their fusion: zjunlp/MKGformer@6dc924d, liuxiyang641/HVFormer@9b6a662.
"""

import dataclasses
import os

from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert import deepke
from ifa_jax.convert.engine import Drop, Rule, linear, norm
from ifa_jax.convert.store import Converted
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import VARIANTS, MKGformerConfig

_SHARED = [
  rule for rule in deepke.RULES if not rule.name.startswith("classifier.")
]
_FUSION = "model.encoder.text_layer.{}.intermediate.fusion_dense"
_AGGREGATION = "model.encoder.vision2text_layer_agg"
_EXPERTS = f"{_AGGREGATION}.moe_layer_wise_agg"


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
    *linear(deepke.HVFORMER_HEAD, "relation_head"),
  ]


@dataclasses.dataclass(frozen=True)
class MKGformerOptions(deepke.Heads):
  """Options of MKGformer; "equations" are a variant for the same weights."""

  variant: str = setting(
    "equations: as papers print them; released: as the code computes it.",
    "released",
    choices=[*VARIANTS],
  )


def convert_mkgformer(
  path: str | os.PathLike, options: MKGformerOptions
) -> Converted:
  """Reads a checkpoint of MKGformer's MRE code, a `.pth` state dict.

  Raises:
    ValueError: for a damaged file, or names and shapes of another model; all
      are listed.
  """
  return deepke.convert(
    path, options, MKGformerConfig, mkgformer_rules, "mkgformer"
  )


def convert_hvformer(
  path: str | os.PathLike, options: deepke.Heads
) -> Converted:
  """Reads a checkpoint of HVFormer's code; see `convert_mkgformer`."""
  return deepke.convert(
    path, options, HVFormerConfig, hvformer_rules, "hvformer"
  )
