"""The encoder classes of transformers that are read, as tables."""

import dataclasses

from ifa_jax.convert import engine
from ifa_jax.convert.engine import PATCHES, Drop, Rule, linear, norm
from ifa_jax.convert.huggingface import layer_scale, settings
from ifa_jax.convert.huggingface.encoder import MLP_RATIO, Encoder
from ifa_jax.convert.huggingface.settings import Config, Setting, only
from ifa_jax.convert.store import POOLER
from ifa_jax.models.config import TextConfig, VisionConfig

# In `BertModel` and in `ViTModel`.
POOLER_NAME = "pooler.dense"
# In the `config.json` of an export: the ids of the markers, for which
# transformers has no key.
MARKERS_KEY = "entity_markers"


# Keys of every class, and of a whole CLIPModel's file outside its sections.
# The first two are no fields of the classes, but transformers follows them; the
# last names code of the checkpoint's own, which may compute anything.
_COMMON = {
  "quantization_config": only(None),
  "per_layer_config": only(None),
  "auto_map": only(None),
}
_SIZES = _COMMON | {
  "hidden_size": Setting(settings.count, "hidden_dim"),
  "num_hidden_layers": Setting(settings.count, "num_layers"),
  "num_attention_heads": Setting(settings.count, "num_heads"),
  "intermediate_size": Setting(settings.count, "mlp_dim"),
  "hidden_act": Setting(settings.activation, "activation"),
  "layer_norm_eps": Setting(settings.positive, "norm_epsilon"),
}
_PICTURES = _SIZES | {
  "image_size": Setting(settings.side, "image_size"),
  "patch_size": Setting(settings.side, "patch_size"),
  "num_channels": only(3),
}


# Path within a layer -> name within a layer, see `engine.layer`.
BERT_LAYER = {
  "attention/query": "attention.self.query",
  "attention/key": "attention.self.key",
  "attention/value": "attention.self.value",
  "attention/out": "attention.output.dense",
  "attention_norm": "attention.output.LayerNorm",
  "mlp_in": "intermediate.dense",
  "mlp_out": "output.dense",
  "mlp_norm": "output.LayerNorm",
}
CLIP_LAYER = {
  "attention/query": "self_attn.q_proj",
  "attention/key": "self_attn.k_proj",
  "attention/value": "self_attn.v_proj",
  "attention/out": "self_attn.out_proj",
  "attention_norm": "layer_norm1",
  "mlp_in": "mlp.fc1",
  "mlp_out": "mlp.fc2",
  "mlp_norm": "layer_norm2",
}
_VIT_LAYER = BERT_LAYER | {
  "attention/query": "attention.attention.query",
  "attention/key": "attention.attention.key",
  "attention/value": "attention.attention.value",
  "attention_norm": "layernorm_before",
  "mlp_norm": "layernorm_after",
}
# The modules of transformers 5, whose `save_pretrained` writes the names above
# but whose `state_dict` does not.
_VIT_MODULES = _VIT_LAYER | {
  "attention/query": "attention.q_proj",
  "attention/key": "attention.k_proj",
  "attention/value": "attention.v_proj",
  "attention/out": "attention.o_proj",
  "mlp_in": "mlp.fc1",
  "mlp_out": "mlp.fc2",
}


def bert_embeddings(name: str) -> list[Rule]:
  """Returns the rules of BERT's embeddings, under any program's name."""
  tables = [
    Rule(f"{name}.{table}_embeddings.weight", f"text/embed/{table}/embedding")
    for table in ("word", "position", "token_type")
  ]
  return [*tables, *norm(f"{name}.LayerNorm", "text/embed/norm")]


def clip_embeddings(name: str) -> list[Rule]:
  """Returns the rules of CLIP's embeddings, under any program's name."""
  return [
    Rule(f"{name}.class_embedding", "visual/embed/class_token"),
    Rule(
      f"{name}.patch_embedding.weight", "visual/embed/patch/kernel", PATCHES
    ),
    Rule(f"{name}.position_embedding.weight", "visual/embed/position"),
  ]


def _bert_rules() -> list[Rule | Drop]:
  rules = bert_embeddings("embeddings")
  rules += engine.layer("encoder.layer.{n}", "text/layer_{n}", BERT_LAYER)
  # Files from TensorFlow, such as bert-base-uncased, have other names.
  older = [
    rule._replace(
      name=rule.name.replace(".weight", ".gamma").replace(".bias", ".beta")
    )
    for rule in rules
    if ".LayerNorm." in rule.name
  ]
  buffer = Drop("embeddings.position_ids", "a buffer that counts 0, 1, 2 ...")
  return [buffer, *rules, *older, *linear(POOLER_NAME, POOLER)]


BERT = Encoder(
  architecture="BertModel",
  model_types=("bert",),
  prefixes=("", "bert."),
  anchor="embeddings.word_embeddings.weight",
  rules=_bert_rules(),
  settings=_SIZES
  | {
    "vocab_size": Setting(settings.count, "vocab_size"),
    "max_position_embeddings": Setting(settings.count, "max_len"),
    "type_vocab_size": Setting(settings.count, "num_token_types"),
    "hidden_dropout_prob": Setting(settings.rate, "dropout_rate"),
    "attention_probs_dropout_prob": Setting(
      settings.rate, "attention_dropout_rate"
    ),
    # A decoder does not attend to later tokens.
    "is_decoder": only(False),
    "add_cross_attention": only(False),
    # Of older versions of transformers.
    "position_embedding_type": only("absolute"),
    "pruned_heads": only({}),
  },
  default=TextConfig(vocab_size=30522),
  unread=(POOLER_NAME,),
  constants={"pad_token_id": 0},
)


def _clip_section(config: Config) -> tuple[str, Config]:
  sections = Setting(settings.section)
  table = {"vision_config": sections, "vision_config_dict": sections}
  found = settings.read(_COMMON | table, config)
  # `CLIPConfig` has every field of the older section, and its defaults, replace
  # those of the newer one.
  if config.get("vision_config_dict") is not None:
    return "vision_config_dict", found["vision_config_dict"]
  if "vision_config" in config or config.get("model_type") == "clip":
    return "vision_config", found.get("vision_config", {})
  return "", config


CLIP = Encoder(
  architecture="CLIPVisionModel",
  model_types=("clip_vision_model", "clip"),
  prefixes=("", "vision_model."),
  anchor="embeddings.class_embedding",
  rules=[
    Drop("embeddings.position_ids", "a buffer that counts 0, 1, 2 ..."),
    Drop("post_layernorm.{any}", "nothing reads the class token"),
    *clip_embeddings("embeddings"),
    # Misspelt in transformers.
    *norm("pre_layrnorm", "visual/embed/norm"),
    *engine.layer("encoder.layers.{n}", "visual/layer_{n}", CLIP_LAYER),
  ],
  settings=_PICTURES,
  default=VisionConfig(),
  unread=("post_layernorm",),
  ignored_dropout=("attention_dropout",),
  find_section=_clip_section,
)

_PATCH = "embeddings.patch_embeddings.projection"
_VIT_EMBEDDINGS = [
  Drop("layernorm.{any}", "nothing reads the last layer's output"),
  Drop("embeddings.mask_token", "no patch is masked"),
  Rule(
    "embeddings.cls_token", "visual/embed/class_token", engine.leading_axes(2)
  ),
  Rule(f"{_PATCH}.weight", "visual/embed/patch/kernel", PATCHES),
  Rule(f"{_PATCH}.bias", "visual/embed/patch/bias"),
  Rule(
    "embeddings.position_embeddings",
    "visual/embed/position",
    engine.leading_axes(1),
  ),
]
_VIT_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")

VIT = Encoder(
  architecture="ViTModel",
  model_types=("vit",),
  prefixes=("", "vit."),
  anchor="embeddings.cls_token",
  rules=[
    Drop("pooler.{any}", "nothing reads the class token"),
    *_VIT_EMBEDDINGS,
    *engine.layer("encoder.layer.{n}", "visual/layer_{n}", _VIT_LAYER),
    *engine.layer("layers.{n}", "visual/layer_{n}", _VIT_MODULES),
  ],
  settings=_PICTURES | {"qkv_bias": only(True)},
  default=VisionConfig(
    patch_size=16,
    norm_epsilon=1e-12,
    activation="gelu",
    patch_bias=True,
    pre_norm=False,
  ),
  constants=dict.fromkeys(_VIT_DROPOUT, 0.0) | {"qkv_bias": True},
  ignored_dropout=_VIT_DROPOUT,
  unread=("layernorm", POOLER_NAME),
)

_DINOV2_LAYER = _VIT_LAYER | {
  "attention_norm": "norm1",
  "mlp_in": "mlp.fc1",
  "mlp_out": "mlp.fc2",
  "mlp_norm": "norm2",
}
_DINOV2_MODULES = {
  path: name for path, name in _VIT_MODULES.items() if "attention/" in path
}

# An export writes it as a ViTModel, which it is without LayerScale.
DINOV2 = Encoder(
  architecture="Dinov2Model",
  model_types=("dinov2",),
  prefixes=("", "dinov2."),
  anchor="embeddings.cls_token",
  rules=[
    *_VIT_EMBEDDINGS,
    *engine.layer("encoder.layer.{n}", "visual/layer_{n}", _DINOV2_LAYER),
    *engine.layer("encoder.layer.{n}", "visual/layer_{n}", _DINOV2_MODULES),
  ],
  # The ratio replaces intermediate_size.
  settings=_PICTURES
  | {
    MLP_RATIO: Setting(settings.positive),
    "qkv_bias": only(True),
    "use_swiglu_ffn": only(False),
  },
  default=dataclasses.replace(VIT.default, patch_size=14, norm_epsilon=1e-6),
  constants={MLP_RATIO: 4},
  ignored_dropout=(*_VIT_DROPOUT, "drop_path_rate"),
  prepare=layer_scale.fold,
  unread=("layernorm",),
)

ENCODERS = {"text": (BERT,), "vision": (CLIP, VIT, DINOV2)}
