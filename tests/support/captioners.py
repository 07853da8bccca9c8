"""Folders of tiny captioners with perturbed weights."""

import os

import tokenizers
import transformers
from detectors import perturbed
from tokenizers import models, pre_tokenizers, processors

SIDE = 16
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<image>")
_WORDS = ("a", "photo", "of", "what", *(f"thing{i}" for i in range(54)))
SQUARE = {"height": SIDE, "width": SIDE}
SIZES = {
  "hidden_size": 16,
  "intermediate_size": 16,
  "num_hidden_layers": 1,
  "num_attention_heads": 2,
}
PICTURE = {"image_size": SIDE, "patch_size": 8}
CHAT = (
  "{% for message in messages %}{% for part in message['content'] %}"
  "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}"
  "{% endif %}{% endfor %}{% endfor %}"
)


def make_tokenizer():
  """Returns a tokenizer of whole words; every id is a word or special."""
  vocabulary = {piece: i for i, piece in enumerate((*_SPECIAL, *_WORDS))}
  backend = tokenizers.Tokenizer(
    models.WordLevel(vocabulary, unk_token="[UNK]")
  )
  backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
  backend.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
  )
  special = {f"{token[1:-1].lower()}_token": token for token in _SPECIAL[:5]}
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=backend, additional_special_tokens=["<image>"], **special
  )


def write_blip(folder, seed=1):
  """Writes a BLIP and returns its path."""
  tokenizer = make_tokenizer()
  text = SIZES | {
    "vocab_size": len(tokenizer),
    "max_position_embeddings": 64,
    "encoder_hidden_size": 16,
    "bos_token_id": tokenizer.cls_token_id,
    "eos_token_id": tokenizer.sep_token_id,
    "sep_token_id": tokenizer.sep_token_id,
    "pad_token_id": tokenizer.pad_token_id,
  }
  config = transformers.BlipConfig(
    text_config=text, vision_config=SIZES | PICTURE, projection_dim=16
  )
  model = transformers.BlipForConditionalGeneration(config)
  perturbed(model, seed).save_pretrained(folder)
  pictures = transformers.BlipImageProcessorPil(size=SQUARE)
  transformers.BlipProcessor(pictures, tokenizer).save_pretrained(folder)
  return os.fspath(folder)


def write_encoder_decoder(folder, seed=1):
  """Writes a ViT with BERT as its decoder and returns its path."""
  tokenizer = make_tokenizer()
  config = transformers.VisionEncoderDecoderConfig(
    encoder=transformers.ViTConfig(**SIZES, **PICTURE).to_dict(),
    decoder=transformers.BertConfig(
      **SIZES,
      vocab_size=len(tokenizer),
      is_decoder=True,
      add_cross_attention=True,
    ).to_dict(),
    decoder_start_token_id=tokenizer.cls_token_id,
    eos_token_id=tokenizer.sep_token_id,
    pad_token_id=tokenizer.pad_token_id,
  )
  model = transformers.VisionEncoderDecoderModel(config)
  perturbed(model, seed).save_pretrained(folder)
  transformers.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)
  tokenizer.save_pretrained(folder)
  return os.fspath(folder)


def write_llava(folder, seed=1):
  """Writes a LLaVA with a chat template and returns its path."""
  tokenizer = make_tokenizer()
  config = transformers.LlavaConfig(
    text_config=transformers.LlamaConfig(
      **SIZES,
      vocab_size=len(tokenizer),
      pad_token_id=0,
      bos_token_id=tokenizer.cls_token_id,
      eos_token_id=tokenizer.sep_token_id,
    ),
    vision_config=transformers.CLIPVisionConfig(**SIZES, **PICTURE),
    image_token_index=_SPECIAL.index("<image>"),
  )
  model = transformers.LlavaForConditionalGeneration(config)
  perturbed(model, seed).save_pretrained(folder)
  transformers.LlavaProcessor(
    transformers.CLIPImageProcessorPil(
      size={"shortest_edge": SIDE}, crop_size=SQUARE
    ),
    tokenizer,
    patch_size=PICTURE["patch_size"],
    vision_feature_select_strategy="default",
    num_additional_image_tokens=1,
    chat_template=CHAT,
  ).save_pretrained(folder)
  return os.fspath(folder)
