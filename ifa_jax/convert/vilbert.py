"""ViLBERT's released `pytorch_model.bin` to this model's parameters.

Its names are those of `vilbert.py` in jiasenlu/vilbert_beta, which its
successor facebookresearch/vilbert-multi-task keeps: 1 is the picture and 2 the
text. Sizes are read off the arrays, all but the head counts, which no array
shows.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, initialize, rules, sources
from ifa_jax.convert.huggingface import bert
from ifa_jax.convert.rules import Drop, Rule, linear, norm
from ifa_jax.convert.store import Converted, make_info
from ifa_jax.data.text import markers
from ifa_jax.models import parameters
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.config import TextConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig

_HEADS = "a head of another task"
_TEXT, _VISION = "bert.encoder.layer.{n}", "bert.encoder.v_layer.{n}"
_CONNECTION = "bert.encoder.c_layer.{n}"


def _connection_rules(stream: str, number: int, letter: str) -> list[Rule]:
  """Returns the rules of one stream's half of the connections."""
  path, output = f"connection_{{n}}/{stream}", f"{_CONNECTION}.biOutput"
  found = []
  for part in ("query", "key", "value"):
    name = f"{_CONNECTION}.biattention.{part}{number}"
    found += linear(name, f"{path}/attention/{part}")
  return [
    *found,
    *linear(f"{output}.dense{number}", f"{path}/attention/out"),
    *norm(f"{output}.LayerNorm{number}", f"{path}/attention_norm"),
    *linear(f"{_CONNECTION}.{letter}_intermediate.dense", f"{path}/mlp_in"),
    *linear(f"{_CONNECTION}.{letter}_output.dense", f"{path}/mlp_out"),
    *norm(f"{_CONNECTION}.{letter}_output.LayerNorm", f"{path}/mlp_norm"),
  ]


RULES = [
  Drop("cls.{any}", "a head of pretraining"),
  *(
    Drop(f"{name}{{any}}", _HEADS)
    for name in ("vil_", "vision_logit.", "linguisic_logit.")
  ),
  Drop(f"{_CONNECTION}.biOutput.q_dense{{any}}", "declared and never read"),
  Drop("bert.embeddings.task_embeddings.weight", "no text has a task's token"),
  *bert.embedding_rules("bert.embeddings"),
  *bert.layer_rules(_TEXT),
  *linear("bert.v_embeddings.image_embeddings", "visual/embed/feature"),
  *linear("bert.v_embeddings.image_location_embeddings", "visual/embed/box"),
  *norm("bert.v_embeddings.LayerNorm", "visual/embed/norm"),
  *bert.layer_rules(_VISION, "visual/layer_{n}"),
  *_connection_rules("visual", 1, "v"),
  *_connection_rules("text", 2, "t"),
  *linear("bert.t_pooler.dense", "text_pooler"),
  *linear("bert.v_pooler.dense", "visual_pooler"),
]


@dataclasses.dataclass(frozen=True)
class Options:
  """What a checkpoint leaves open.

  Attributes:
    num_heads: of the text stream.
    vision_heads: of the stream of regions.
    connection_heads: of the layers between.
    num_relations: "None" included.
    seed: of what is initialised.
  """

  num_heads: int = 12
  vision_heads: int = 8
  connection_heads: int = 8
  num_relations: int = 23
  seed: int = 0


def from_vilbert(
  checkpoint: str | os.PathLike, **options: Any
) -> tuple[ViLBERTConfig, dict[str, Any]]:
  """Reads a checkpoint of ViLBERT.

  The markers' four rows of the word table and the relation head start as a new
  run with the same seed starts them.

  Args:
    checkpoint: `pytorch_model.bin`. Nothing in it is executed.
    **options: fields of `Options`.

  Returns:
    The model's config, with `pooling="native_mul"`, which reads all that is
    there, and its float32 parameters.

  Raises:
    ValueError: for a damaged file, one that holds anything but tensors, or
      names and shapes that are not ViLBERT's; all are listed.
  """
  converted = convert(checkpoint, Options(**options))
  return cast(ViLBERTConfig, converted.model_config), converted.params


def convert(checkpoint: str | os.PathLike, options: Options) -> Converted:
  """Does what `from_vilbert` does, and tells where all comes from."""
  checkpoint = os.fspath(checkpoint)
  arrays = sources.read_weights(checkpoint)
  published = read_sizes(arrays, options, checkpoint)
  expected = {
    path: shape
    for path, shape in parameters.param_shapes(published).items()
    if not path.startswith("relation_head/")
  }
  nested = engine.convert(arrays, RULES, expected, checkpoint)
  given: dict[str, Any] = traverse_util.flatten_dict(nested, sep="/")
  rows = published.text.vocab_size + len(markers.MARKERS)
  text = dataclasses.replace(published.text, vocab_size=rows)
  config = dataclasses.replace(published, text=text)
  params, initialised = initialize.complete(given, config, options.seed)
  info: dict[str, Any] = make_info("vilbert")
  info["initialised"] = initialised
  info["sources"]["checkpoint"] = {
    "name": checkpoint,
    "files": {os.path.basename(checkpoint): sources.sha256(checkpoint)},
  }
  info["dropped"]["checkpoint"] = engine.dropped(arrays, RULES)
  return Converted(config, traverse_util.unflatten_dict(params, sep="/"), info)


def read_sizes(
  arrays: Mapping[str, np.ndarray], options: Options, checkpoint: str
) -> ViLBERTConfig:
  """Reads a model's sizes off the shapes of ViLBERT's arrays.

  Raises:
    ValueError: for an array that is missing or no matrix, naming it, and as
      `ViLBERTConfig` does.
  """
  shape = lambda name: sources.matrix_shape(arrays, name, checkpoint)  # noqa: E731
  vocab_size, width = shape("bert.embeddings.word_embeddings.weight")
  visual_width, feature_dim = shape("bert.v_embeddings.image_embeddings.weight")
  query = _CONNECTION.format(n=0) + ".biattention.query1.weight"
  return ViLBERTConfig(
    text=TextConfig(
      vocab_size=vocab_size,
      max_len=shape("bert.embeddings.position_embeddings.weight")[0],
      num_token_types=shape("bert.embeddings.token_type_embeddings.weight")[0],
      hidden_dim=width,
      num_heads=options.num_heads,
      **_depth(arrays, _TEXT, checkpoint),
    ),
    vision=RegionStreamConfig(
      hidden_dim=visual_width,
      num_heads=options.vision_heads,
      **_depth(arrays, _VISION, checkpoint),
    ),
    connection=CoAttentionConfig(
      hidden_dim=shape(query)[0],
      num_layers=_count(arrays, f"{_CONNECTION}.biattention.query1.weight"),
      num_heads=options.connection_heads,
    ),
    regions=dataclasses.replace(
      ViLBERTConfig().regions, feature_dim=feature_dim
    ),
    pooling="native_mul",
    num_relations=options.num_relations,
  )


def _depth(
  arrays: Mapping[str, np.ndarray], layer: str, checkpoint: str
) -> dict[str, Any]:
  """Returns the number of a stream's layers, and the width of their MLP."""
  name = f"{layer}.intermediate.dense.weight"
  first = sources.matrix_shape(arrays, name.format(n=0), checkpoint)
  return {"num_layers": _count(arrays, name), "mlp_dim": first[0]}


def _count(arrays: Mapping[str, np.ndarray], pattern: str) -> int:
  return sum(rules.match(pattern, name) is not None for name in arrays)
