"""ViLBERT's released `pytorch_model.bin` to a model.

Names are those of `vilbert.py` in jiasenlu/vilbert_beta, which its successor
facebookresearch/vilbert-multi-task keeps: 1 is the picture and 2 the text.
Sizes are read from the arrays, except for the numbers of heads, which no array
shows.
"""

import dataclasses
import os
from typing import Any, cast

from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert import checkpoint, initialize
from ifa_jax.convert import options as convert_options
from ifa_jax.convert.checkpoint import Checkpoint
from ifa_jax.convert.engine import Drop, Rule, layer, linear, norm
from ifa_jax.convert.huggingface.encoders import BERT_LAYER, bert_embeddings
from ifa_jax.convert.store import Converted
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.config import TextConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig

_HEADS = "a head of another task"
_TEXT, _VISION = "bert.encoder.layer.{n}", "bert.encoder.v_layer.{n}"
_CONNECTION = "bert.encoder.c_layer.{n}"


def _connection_rules(stream: str, number: int, letter: str) -> list[Rule]:
  """Returns the rules of one stream's half of the connections."""
  parts = {
    **{
      f"attention/{part}": f"biattention.{part}{number}"
      for part in ("query", "key", "value")
    },
    "attention/out": f"biOutput.dense{number}",
    "attention_norm": f"biOutput.LayerNorm{number}",
    "mlp_in": f"{letter}_intermediate.dense",
    "mlp_out": f"{letter}_output.dense",
    "mlp_norm": f"{letter}_output.LayerNorm",
  }
  return layer(_CONNECTION, f"connection_{{n}}/{stream}", parts)


RULES = [
  Drop("cls.{any}", "a head of pretraining"),
  Drop("vil_{any}", _HEADS),
  Drop("vision_logit.{any}", _HEADS),
  Drop("linguisic_logit.{any}", _HEADS),
  Drop(f"{_CONNECTION}.biOutput.q_dense{{any}}", "declared and never read"),
  Drop("bert.embeddings.task_embeddings.weight", "no text has a task's token"),
  *bert_embeddings("bert.embeddings"),
  *layer(_TEXT, "text/layer_{n}", BERT_LAYER),
  *linear("bert.v_embeddings.image_embeddings", "visual/embed/feature"),
  *linear("bert.v_embeddings.image_location_embeddings", "visual/embed/box"),
  *norm("bert.v_embeddings.LayerNorm", "visual/embed/norm"),
  *layer(_VISION, "visual/layer_{n}", BERT_LAYER),
  *_connection_rules("visual", 1, "v"),
  *_connection_rules("text", 2, "t"),
  *linear("bert.t_pooler.dense", "text_pooler"),
  *linear("bert.v_pooler.dense", "visual_pooler"),
]


@dataclasses.dataclass(frozen=True)
class Options(initialize.Options):
  """Settings that a checkpoint does not determine."""

  num_heads: int = setting(
    "Attention heads of the text stream, not given by the file.", 12, least=1
  )
  vision_heads: int = setting(
    "Attention heads of the region stream.", 8, least=1
  )
  connection_heads: int = setting(
    "Attention heads of the co-attention layers.", 8, least=1
  )


def from_vilbert(
  checkpoint: str | os.PathLike, **options: Any
) -> tuple[ViLBERTConfig, dict[str, Any]]:
  """Reads a checkpoint of ViLBERT.

  The markers' four rows of the word table and the relation head are initialised
  as in a new run with the same seed.

  Args:
    checkpoint: `pytorch_model.bin`. Nothing in it is executed.
    **options: fields of `Options`.

  Returns:
    The model's config, with `pooling="native_mul"`, which reads all weights,
    and its float32 parameters.

  Raises:
    ValueError: for an invalid option, if the file is damaged, or if names and
      shapes are not ViLBERT's; lists all.
  """
  converted = convert(checkpoint, convert_options.read(Options, options))
  return cast(ViLBERTConfig, converted.model_config), converted.params


def convert(path: str | os.PathLike, options: Options) -> Converted:
  """Does the same as `from_vilbert`, with provenance."""
  file = checkpoint.read(path)
  config = read_sizes(file, options)
  return file.convert(config, RULES, "vilbert", options.seed)


def read_sizes(file: Checkpoint, options: Options) -> ViLBERTConfig:
  """Reads a model's sizes, without markers, from the shapes of the arrays."""

  visual_width, feature_dim = file.shape(
    "bert.v_embeddings.image_embeddings.weight"
  )
  query = f"{_CONNECTION}.biattention.query1.weight"
  return ViLBERTConfig(
    text=TextConfig(
      num_heads=options.num_heads, **file.bert_sizes("bert.embeddings", _TEXT)
    ),
    vision=RegionStreamConfig(
      hidden_dim=visual_width,
      num_heads=options.vision_heads,
      **file.depth(f"{_VISION}.intermediate.dense.weight"),
    ),
    connection=CoAttentionConfig(
      hidden_dim=file.shape(query.replace("{n}", "0"))[0],
      num_layers=file.count(query),
      num_heads=options.connection_heads,
    ),
    regions=dataclasses.replace(
      ViLBERTConfig().regions, feature_dim=feature_dim
    ),
    pooling="native_mul",
    num_relations=options.num_relations,
  )
