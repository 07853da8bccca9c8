"""Tiny models of `transformers` with perturbed weights, made on the spot."""

import json
import os
import pathlib
import shutil

import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers import (
  BertConfig,
  BertForMaskedLM,
  BertModel,
  CLIPConfig,
  CLIPModel,
  CLIPVisionConfig,
  CLIPVisionModel,
  Dinov2Config,
  Dinov2ForImageClassification,
  Dinov2Model,
  ViTConfig,
  ViTForImageClassification,
  ViTModel,
)

VOCAB = 40
_SIZES = {
  "hidden_size": 24,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "intermediate_size": 40,
}
_PICTURE = {"image_size": 12, "patch_size": 4}

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def _bert(kind, sizes):
  return kind(BertConfig(vocab_size=VOCAB, max_position_embeddings=16, **sizes))


def _clip(sizes):
  # Token ids of CLIP's own vocabulary would not fit so small a one.
  ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
  text = {"vocab_size": VOCAB, **_SIZES, **ends}
  return CLIPModel(CLIPConfig(text_config=text, vision_config=_PICTURE | sizes))


def _dinov2(kind, sizes):
  # It has a ratio in place of an intermediate_size.
  return kind(Dinov2Config(mlp_ratio=2, **_PICTURE | sizes))


_MAKERS = {
  "BertModel": lambda sizes: _bert(BertModel, sizes),
  "BertForMaskedLM": lambda sizes: _bert(BertForMaskedLM, sizes),
  "CLIPVisionModel": lambda sizes: CLIPVisionModel(
    CLIPVisionConfig(**_PICTURE | sizes)
  ),
  "CLIPModel": _clip,
  "ViTModel": lambda sizes: ViTModel(ViTConfig(**_PICTURE | sizes)),
  "ViTForImageClassification": lambda sizes: ViTForImageClassification(
    ViTConfig(**_PICTURE | sizes)
  ),
  "Dinov2Model": lambda sizes: _dinov2(Dinov2Model, sizes),
  "Dinov2ForImageClassification": lambda sizes: _dinov2(
    Dinov2ForImageClassification, sizes
  ),
}
TEXT = ("BertModel", "BertForMaskedLM")
VISION = tuple(name for name in _MAKERS if name not in TEXT)


def make(kind, seed=0, **sizes):
  """Returns a model with random weights: scales near 1, all else near 0.

  Fresh biases are 0 and norms 1, which hides a swapped norm or a lost bias.

  Args:
    kind: name of a class, one of `TEXT` or `VISION`.
    seed: of the weights.
    **sizes: fields of its config.
  """
  model = _MAKERS[kind](_SIZES | sizes).eval()
  rng = torch.Generator().manual_seed(seed)
  with torch.no_grad():
    for name, weight in model.named_parameters():
      is_norm = name.endswith("weight") and weight.ndim == 1
      is_scale = is_norm or name.endswith("lambda1")
      drawn = 0.15 * torch.randn(weight.shape, generator=rng)
      weight.copy_(drawn + is_scale)
  return model


def save(folder, kind, seed=0, **sizes):
  """Writes such a model's folder and returns its path."""
  make(kind, seed, **sizes).save_pretrained(folder)
  return os.fspath(folder)


def encoder(model):
  """Returns the part of a model that is a BERT or a vision tower."""
  for name in ("bert", "vit", "dinov2", "vision_model"):
    model = getattr(model, name, model)
  return model


def copy(folder, target):
  """Copies a folder and returns its path."""
  return pathlib.Path(shutil.copytree(folder, target))


def change_json(path, **changes):
  """Changes keys of a JSON file, made if absent."""
  content = json.loads(path.read_text()) if path.exists() else {}
  path.write_text(json.dumps(content | changes))


def change_weights(folder, change):
  """Changes name -> array of a model.safetensors in place."""
  path = folder / "model.safetensors"
  weights = load_file(path)
  change(weights)
  save_file(weights, path, {"format": "pt"})
