"""DeepKE's `best_model.pth` (zjunlp/DeepKE@4b27718) to a model, and back.

Names are those of `IFA_model.py` and `modeling_IFA.py`. Sizes are read from the
arrays, except for the number of heads, which no array shows.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from flax import traverse_util

from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert import checkpoint, engine
from ifa_jax.convert import options as convert_options
from ifa_jax.convert.checkpoint import Checkpoint
from ifa_jax.convert.engine import Drop, Rule, Table, layer, linear, norm
from ifa_jax.convert.huggingface.encoders import (
  BERT_LAYER,
  CLIP_LAYER,
  bert_embeddings,
  clip_embeddings,
)
from ifa_jax.convert.store import Converted
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig
from ifa_jax.models.exchange import FUSIONS

HVFORMER_HEAD = "re_classifier.classifier"
_VISUAL = "model.vision_embeddings"
_TEXT_LAYER = "model.encoder.text_layer.{n}"
_VISUAL_LAYER = "model.encoder.vision_layers.{n}"

RULES = [
  Drop("model.{any}position_ids", "buffers that count 0, 1, 2 ..."),
  Drop("model.text_pooler.{any}", "the relation head reads the markers"),
  Drop("model.vision_post_layernorm.{any}", "nothing reads the class token"),
  *bert_embeddings("model.text_embeddings"),
  *layer(_TEXT_LAYER, "text/layer_{n}", BERT_LAYER),
  *clip_embeddings(_VISUAL),
  Rule(
    f"{_VISUAL}.aux_position_embedding.weight", "visual/embed/grounded_position"
  ),
  Rule(
    f"{_VISUAL}.rcnn_position_embedding.weight",
    "visual/embed/detected_position",
  ),
  *norm("model.vision_pre_layrnorm", "visual/embed/norm"),
  *layer(_VISUAL_LAYER, "visual/layer_{n}", CLIP_LAYER),
  *linear("classifier", "relation_head"),
]

# Settings of training, which no file of weights holds.
_NOT_IN_FILE = (
  "dropout_rate",
  "attention_dropout_rate",
  "crop_position_stddev",
)
# Settings that DeepKE's code does not have.
_SWITCHES = {
  "use_objects": True,
  "use_image": True,
  "text_attention": True,
  "exchange": None,
}


@dataclasses.dataclass(frozen=True)
class Heads:
  """The setting that no checkpoint with these names determines."""

  num_heads: int = setting(
    "Attention heads of both streams, which the file does not give.",
    12,
    least=1,
  )


@dataclasses.dataclass(frozen=True)
class Options(Heads):
  """Settings that DeepKE's checkpoint does not determine."""

  fusion: str = setting(
    "paper: the paper's equations; released: as DeepKE computes it.",
    "released",
    choices=[*FUSIONS],
  )


def from_deepke(
  checkpoint: str | os.PathLike,
  num_heads: int = 12,
  fusion: str = "released",
) -> tuple[ModelConfig, dict[str, Any]]:
  """Reads a checkpoint that DeepKE's `run.py` saved.

  Args:
    checkpoint: `best_model.pth`. Nothing in it is executed.
    num_heads: of both streams; 12 for BERT-base and ViT-B/32.
    fusion: "released" gives DeepKE's logits; "paper" reads the same weights
      by the paper's equations.

  Returns:
    The model's config and its float32 parameters.

  Raises:
    ValueError: for an invalid option, if the file is damaged, or if names and
      shapes are not DeepKE's; lists all.
  """
  given = {"num_heads": num_heads, "fusion": fusion}
  converted = convert(checkpoint, convert_options.read(Options, given))
  return cast(ModelConfig, converted.model_config), converted.params


def convert(
  path: str | os.PathLike,
  options: Heads,
  system: Callable[..., Any] = ModelConfig,
  rules: Callable[[Any], Table] = lambda _: RULES,
  origin: str = "deepke",
) -> Converted:
  """Does the same as `from_deepke`, with provenance.

  Args:
    path: of the checkpoint.
    options: with the fields of the config that the arrays do not determine.
    system: the class of the config: also of programs that add to DeepKE's.
    rules: returns the rules for a config.
    origin: see `store.make_info`.
  """
  file = checkpoint.read(path)
  chosen = dataclasses.asdict(options)
  sizes = read_sizes(file, chosen.pop("num_heads"))
  config = system(**sizes, **chosen)
  return file.convert(config, rules(config), origin)


def read_sizes(file: Checkpoint, num_heads: int) -> dict[str, Any]:
  """Returns the fields of a config that the arrays determine, by name."""

  def rows(name: str, least: int = 1) -> int:
    found, _ = file.shape(f"{name}.weight")
    if found < least:
      raise ValueError(
        f"{file.path}: {name}.weight: expected at least {least} rows, got"
        f" {found}"
      )
    return found

  patch = file.arrays.get(f"{_VISUAL}.patch_embedding.weight")
  if patch is None or patch.ndim != 4 or 0 in patch.shape:
    raise ValueError(
      f"{file.path}: {_VISUAL}.patch_embedding.weight: expected an array"
      " [D, 3, patch, patch], got"
      f" {'nothing' if patch is None else patch.shape}"
    )
  sizes = file.bert_sizes("model.text_embeddings", _TEXT_LAYER)
  text = TextConfig(num_heads=num_heads, **sizes)
  side = math.isqrt(rows(f"{_VISUAL}.position_embedding", 2) - 1)
  vision = VisionConfig(
    image_size=side * patch.shape[-1],
    patch_size=patch.shape[-1],
    # A grounded crop has 16 patches.
    num_crops=rows(f"{_VISUAL}.aux_position_embedding", 16) // 16,
    hidden_dim=text.hidden_dim,
    num_heads=num_heads,
    **file.depth(f"{_VISUAL_LAYER}.mlp.fc1.weight"),
  )
  is_hvformer = f"{HVFORMER_HEAD}.weight" in file.arrays
  head = HVFORMER_HEAD if is_hvformer else "classifier"
  return {"text": text, "vision": vision, "num_relations": rows(head)}


def export_deepke(
  path: str | os.PathLike, config: ModelConfig, params: Mapping[str, Any]
) -> None:
  """Writes a file that DeepKE and `from_deepke` load.

  Weights that DeepKE has and never reads are an identity norm and a pooler of
  zeros. The file holds no number of heads and no fusion.

  Args:
    path: of the file, which appears when all is written.
    config: the model's.
    params: nested dicts of arrays.

  Raises:
    ValueError: if DeepKE's code has no such model, with the differences, or if
      PyTorch, which writes the file, is not installed.
  """
  if config.vision is None:
    raise ValueError(
      "cannot express as DeepKE's file: expected both streams, got a text model"
    )
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  tensors = engine.restore(flat, RULES, "DeepKE's file")
  file = Checkpoint(os.fspath(path), tensors)
  read = read_sizes(file, config.text.num_heads)
  problems = [
    f"{side}.{name}: expected {expected!r}, got {found!r}"
    for side in ("text", "vision")
    for name, expected in dataclasses.asdict(read[side]).items()
    if name not in _NOT_IN_FILE
    and (found := getattr(getattr(config, side), name)) != expected
  ]
  problems += [
    f"{name}: expected {expected}, got {found}"
    for name, expected in _SWITCHES.items()
    if (found := getattr(config, name)) != expected
  ]
  engine.raise_all("cannot express as DeepKE's file", problems)
  _save(os.path.abspath(path), tensors | _unread(config.text, config.vision))


def _save(path: str, tensors: Mapping[str, np.ndarray]) -> None:
  try:
    import torch
  except ImportError:
    raise ValueError(
      f"{path}: DeepKE's file is written by PyTorch, which is not installed"
      " (pip install torch)"
    ) from None
  os.makedirs(os.path.dirname(path), exist_ok=True)
  partial = f"{path}.partial"
  try:
    # Copied, as torch warns of arrays that it may not write to.
    state = {name: torch.tensor(array) for name, array in tensors.items()}
    torch.save(state, partial)
    os.replace(partial, path)
  finally:
    if os.path.exists(partial):
      os.remove(partial)


def _unread(text: TextConfig, vision: VisionConfig) -> dict[str, np.ndarray]:
  """Returns the weights that DeepKE's model never reads, and its buffers."""
  buffers = {
    "vision_embeddings.position_ids": 1
    + (vision.image_size // vision.patch_size) ** 2,
    "vision_embeddings.aux_position_ids": 16 * vision.num_crops,
    "vision_embeddings.rcnn_position_ids": 4 * vision.num_crops,
    "text_embeddings.position_ids": text.max_len,
  }
  return {
    **engine.blank(
      ["model.vision_post_layernorm", "model.text_pooler.dense"],
      text.hidden_dim,
    ),
    **{f"model.{name}": np.arange(n)[None] for name, n in buffers.items()},
  }
