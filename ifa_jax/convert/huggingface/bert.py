"""`BertModel` of transformers, alone or inside a `BertFor...`."""

from typing import Any

import numpy as np

from ifa_jax.convert import pooler
from ifa_jax.convert.huggingface import architecture, settings
from ifa_jax.convert.huggingface.architecture import Encoder
from ifa_jax.convert.huggingface.settings import Config, Only, Read, Unused
from ifa_jax.convert.rules import Drop, Rule, linear, norm
from ifa_jax.models.config import TextConfig


def embedding_rules(name: str) -> list[Rule]:
  """Returns the rules of the embeddings, which DeepKE's file shares."""
  return [
    *(
      Rule(f"{name}.{table}_embeddings.weight", f"text/embed/{table}/embedding")
      for table in ("word", "position", "token_type")
    ),
    *norm(f"{name}.LayerNorm", "text/embed/norm"),
  ]


def layer_rules(name: str, path: str = "text/layer_{n}") -> list[Rule]:
  """Returns the rules of the layers, which other programs' files share."""
  rules = []
  for part in ("query", "key", "value"):
    rules += linear(f"{name}.attention.self.{part}", f"{path}/attention/{part}")
  return [
    *rules,
    *linear(f"{name}.attention.output.dense", f"{path}/attention/out"),
    *norm(f"{name}.attention.output.LayerNorm", f"{path}/attention_norm"),
    *linear(f"{name}.intermediate.dense", f"{path}/mlp_in"),
    *linear(f"{name}.output.dense", f"{path}/mlp_out"),
    *norm(f"{name}.output.LayerNorm", f"{path}/mlp_norm"),
  ]


_RULES = [*embedding_rules("embeddings"), *layer_rules("encoder.layer.{n}")]

# Files that come from TensorFlow, such as bert-base-uncased, say gamma and
# beta.
_OLD_NORMS = [
  Rule(rule.name.replace(".weight", ".gamma").replace(".bias", ".beta"),
       rule.path)
  for rule in _RULES
  if ".LayerNorm." in rule.name
]  # fmt: skip

RULES = [
  Drop("embeddings.position_ids", "a buffer that counts 0, 1, 2 ..."),
  *_RULES,
  *_OLD_NORMS,
  *pooler.RULES,
]


SETTINGS: dict[str, settings.Setting] = {
  **settings.COMMON,
  **settings.SIZES,
  "vocab_size": Read(settings.count),
  "max_position_embeddings": Read(settings.count),
  "type_vocab_size": Read(settings.count),
  "hidden_dropout_prob": Read(settings.rate),
  "attention_probs_dropout_prob": Read(settings.rate),
  # A decoder reads no later token.
  "is_decoder": Only(False),
  "add_cross_attention": Only(False),
  # Of older versions.
  "position_embedding_type": Only("absolute"),
  "pruned_heads": Only({}),
  "pad_token_id": Unused("padding is masked"),
  "bos_token_id": Unused("of generated text"),
  "eos_token_id": Unused("of generated text"),
  "use_cache": Unused("of generated text"),
  "classifier_dropout": settings.HEAD,
  "tie_word_embeddings": settings.HEAD,
}


def _read(config: Config) -> TextConfig:
  config = {**_DEFAULTS, **settings.read(SETTINGS, config)}
  return TextConfig(
    vocab_size=config["vocab_size"],
    max_len=config["max_position_embeddings"],
    num_token_types=config["type_vocab_size"],
    dropout_rate=config["hidden_dropout_prob"],
    attention_dropout_rate=config["attention_probs_dropout_prob"],
    **architecture.sizes(config),
  )


def _write(config: TextConfig) -> dict[str, Any]:
  return {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": config.vocab_size,
    "max_position_embeddings": config.max_len,
    "type_vocab_size": config.num_token_types,
    "hidden_dropout_prob": config.dropout_rate,
    "attention_probs_dropout_prob": config.attention_dropout_rate,
    "pad_token_id": 0,
    **architecture.written_sizes(config),
  }


# Of a key that is missing, as in transformers.
_DEFAULTS = _write(TextConfig(vocab_size=30522))


def _unread(config: TextConfig) -> dict[str, np.ndarray]:
  return architecture.blank_linear(pooler.NAME, config.hidden_dim)


BERT = Encoder(
  architecture="BertModel",
  model_types=("bert",),
  prefixes=("", "bert."),
  anchor="embeddings.word_embeddings.weight",
  rules=RULES,
  settings=SETTINGS,
  section=architecture.whole_file,
  read=_read,
  write=_write,
  unread=_unread,
)
