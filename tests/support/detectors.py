"""Folders of tiny detectors and grounders with perturbed weights."""

import os

import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors
from tokenizers.pre_tokenizers import ByteLevel

# Two threads that share a core with other tests wait for each other.
torch.set_num_threads(1)

CLASSES = ("person", "dog", "car", "tie")
# The size of a resized picture, and the most tokens of OWL-ViT's text.
SIDES = {"shortest_edge": 72, "longest_edge": 128}
OWL_TEXT_LEN = 16

# Grounding DINO knows [CLS], [SEP], "." and "?" by their ids in BERT's own
# vocabulary (modeling_grounding_dino.py:1807).
_FIXED = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
_FIXED |= {".": 1012, "?": 1029}
_VOCABULARY = 1100
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def write_detector(folder, seed=5):
  """Writes a DETR with a ResNet of transformers' own; returns its path."""
  backbone = transformers.ResNetConfig(
    embedding_size=8,
    hidden_sizes=[8, 8, 16, 16],
    depths=[1, 1, 1, 1],
    layer_type="basic",
    out_features=["stage4"],
  )
  config = transformers.DetrConfig(
    backbone_config=backbone,
    d_model=16,
    num_queries=7,
    id2label=dict(enumerate(CLASSES)),
    label2id={name: i for i, name in enumerate(CLASSES)},
    **_layers(2, 16),
  )
  model = transformers.DetrForObjectDetection(config)
  perturbed(model, seed).save_pretrained(folder)
  transformers.DetrImageProcessorPil(size=SIDES).save_pretrained(folder)
  return os.fspath(folder)


def write_grounder(folder, seed=5):
  """Writes a Grounding DINO and returns its path."""
  backbone = transformers.SwinConfig(
    embed_dim=8,
    depths=[1, 1, 1, 1],
    num_heads=[2, 2, 2, 2],
    window_size=2,
    out_indices=[2, 3, 4],
  )
  text = transformers.BertConfig(
    vocab_size=_VOCABULARY,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
  )
  config = transformers.GroundingDinoConfig(
    backbone_config=backbone,
    text_config=text,
    # Its norms have 32 groups.
    d_model=32,
    num_queries=6,
    max_text_len=24,
    **_layers(2, 16),
  )
  model = perturbed(transformers.GroundingDinoForObjectDetection(config), seed)
  with torch.no_grad():
    # Else no box is as wide as a pixel.
    model.bbox_embed[0].layers[-1].bias[2:] += 2
  model.save_pretrained(folder)
  transformers.GroundingDinoImageProcessorPil(size=SIDES).save_pretrained(
    folder
  )
  bert_tokenizer().save_pretrained(folder)
  return os.fspath(folder)


def write_owl(folder, seed=0):
  """Writes an OWL-ViT and returns its path."""
  sizes = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
  }
  tokenizer = clip_tokenizer()
  text = {
    "vocab_size": len(tokenizer),
    "max_position_embeddings": OWL_TEXT_LEN,
    "bos_token_id": tokenizer.bos_token_id,
    "eos_token_id": tokenizer.eos_token_id,
  }
  config = transformers.OwlViTConfig(
    text_config=sizes | text,
    vision_config=sizes | {"image_size": 32, "patch_size": 8},
    projection_dim=16,
  )
  model = transformers.OwlViTForObjectDetection(config)
  perturbed(model, seed).save_pretrained(folder)
  square = {"height": 32, "width": 32}
  transformers.OwlViTImageProcessorPil(
    size=square, crop_size=square
  ).save_pretrained(folder)
  tokenizer.save_pretrained(folder)
  return os.fspath(folder)


def bert_tokenizer():
  """Returns a WordPiece of letters in which BERT's fixed ids are BERT's."""
  pieces = [*_CHARACTERS, *(f"##{letter}" for letter in _CHARACTERS)]
  free = (i for i in range(_VOCABULARY) if i not in _FIXED.values())
  vocabulary = _FIXED | dict(zip(pieces, free, strict=False))
  backend = tokenizers.Tokenizer(
    models.WordPiece(vocabulary, unk_token="[UNK]")
  )
  backend.normalizer = normalizers.BertNormalizer(lowercase=True)
  backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  backend.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
  )
  special = {f"{t[1:-1].lower()}_token": t for t in list(_FIXED)[:5]}
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=backend, model_max_length=512, **special
  )


def clip_tokenizer():
  """Returns a byte-level tokenizer as CLIP's, without merges."""
  letters = sorted(ByteLevel.alphabet())
  pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
  ends = ("<|startoftext|>", "<|endoftext|>")
  # The encoder finds a text's end by its id, the highest.
  vocabulary = {piece: i for i, piece in enumerate((*pieces, *ends))}
  return transformers.CLIPTokenizer(
    vocab=vocabulary, merges=[], model_max_length=OWL_TEXT_LEN
  )


def _layers(num, width):
  """Returns the sizes of an encoder and a decoder."""
  return {
    f"{part}_{key}": value
    for part in ("encoder", "decoder")
    for key, value in (
      ("layers", num),
      ("ffn_dim", width),
      ("attention_heads", 2),
    )
  }


def perturbed(model, seed):
  """Draws all weights again, so that queries differ in box and score."""
  rng = torch.Generator().manual_seed(seed)
  with torch.no_grad():
    for name, weight in model.named_parameters():
      is_scale = name.endswith("weight") and weight.ndim == 1
      scale = 10.0 if "query_position" in name else 0.3
      drawn = scale * torch.randn(weight.shape, generator=rng)
      weight.copy_(drawn + is_scale)
  return model.eval()
