"""Every key of a `config.json` is followed, refused or without effect."""

import dataclasses
import re

import hf_models
import pytest
import transformers

from ifa_jax.convert import from_huggingface
from ifa_jax.convert.huggingface import encoders
from ifa_jax.convert.huggingface.encoder_weights import read_stream

pytestmark = [pytest.mark.silent_input, pytest.mark.slow]

SIDES = {"BertModel": "text"}


def changed(folders, kind, path, **changes):
  """Returns a copy of a folder whose `config.json` has other values."""
  folder = hf_models.copy(folders[kind], path / "model")
  hf_models.change_json(folder / "config.json", **changes)
  return folder


# Fields that have no effect on the numbers that are computed here.
UNUSED = {
  # The names of weights decide, and any type is read as float32.
  *("architectures", "transformers_version", "dtype"),
  # Form of the outputs, and the same sums in parts.
  *("output_hidden_states", "return_dict", "chunk_size_feed_forward"),
  # Heads, which are not converted.
  *("id2label", "label2id", "problem_type", "classifier_dropout"),
  *("tie_word_embeddings", "projection_dim", "logit_scale_init_value"),
  *("encoder_stride", "pooler_output_size", "pooler_act"),
  # Weights before training.
  *("initializer_range", "initializer_factor", "layerscale_value"),
  # Masked patches, and the outputs of a backbone.
  *("use_mask_token", "apply_layernorm", "reshape_hidden_states"),
  *("_out_features", "_out_indices"),
  # Generated text; padding is masked.
  *("is_encoder_decoder", "use_cache", "pad_token_id"),
  *("bos_token_id", "eos_token_id"),
}


@pytest.mark.parametrize(
  ("encoder", "kind"),
  [
    (encoders.BERT, transformers.BertConfig),
    (encoders.VIT, transformers.ViTConfig),
    (encoders.CLIP, transformers.CLIPVisionConfig),
    (encoders.DINOV2, transformers.Dinov2Config),
  ],
)
def test_every_field_of_the_class_is_followed_or_has_no_effect(encoder, kind):
  """A field of a later version fails here, until it is decided on."""
  fields = {field.name for field in dataclasses.fields(kind)}
  followed = {*encoder.settings, *encoder.ignored_dropout}
  assert fields <= followed | UNUSED
  assert not followed & UNUSED


def test_a_whole_model_has_no_other_fields():
  fields = {field.name for field in dataclasses.fields(transformers.CLIPConfig)}
  assert fields <= UNUSED | {"vision_config", "text_config"}


SECTIONS = [
  {"vision_config": {"hidden_act": "quick_gelu", "image_size": 64}},
  {
    "vision_config": {"hidden_act": "quick_gelu"},
    "vision_config_dict": {"hidden_act": "gelu"},
  },
  {"vision_config_dict": {"num_hidden_layers": 3, "image_size": 64}},
  # Keys that the older section lacks have the class's defaults.
  {"vision_config": {"image_size": 64}, "vision_config_dict": {}},
  {"vision_config": {"image_size": 64}, "vision_config_dict": None},
  {"vision_config": None, "vision_config_dict": {"image_size": 64}},
  {"vision_config": None},
  {"hidden_size": 24},
]


@pytest.mark.parametrize("file", SECTIONS)
def test_the_section_is_the_same_as_in_transformers(file):
  theirs = transformers.CLIPConfig(**file).vision_config.to_dict()
  _, section = encoders.CLIP.find_section({"model_type": "clip"} | file)
  assert encoders.CLIP.read(section) == encoders.CLIP.read(theirs)


def test_the_older_section_is_read_and_named(folders, tmp_path):
  sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
  sizes |= {"intermediate_size": 40, "image_size": 12, "patch_size": 4}
  older = sizes | {"hidden_act": "gelu"}
  folder = changed(folders, "CLIPModel", tmp_path, vision_config_dict=older)
  assert read_stream(folder, "vision").config.activation == "gelu"
  older["image_size"] = 13
  hf_models.change_json(folder / "config.json", vision_config_dict=older)
  message = r"config\.json: vision_config_dict: image_size: expected a multiple"
  with pytest.raises(ValueError, match=message):
    read_stream(folder, "vision")


REFUSED = [
  ("BertModel", {"is_decoder": True}, "is_decoder: expected False, got True"),
  ("BertModel", {"add_cross_attention": True}, "add_cross_attention: expected"),
  ("BertModel", {"pruned_heads": {"0": [1]}}, "pruned_heads: expected {}, got"),
  ("BertModel", {"hidden_act": None}, "hidden_act: expected one of"),
  ("BertModel", {"hidden_act": ["gelu"]}, "hidden_act: expected one of"),
  ("BertModel", {"hidden_size": "24"}, "hidden_size: expected a whole number"),
  ("BertModel", {"num_attention_heads": 5}, "num_attention_heads: expected a"),
  ("BertModel", {"layer_norm_eps": None}, "layer_norm_eps: expected a number"),
  ("BertModel", {"layer_norm_eps": float("nan")}, "layer_norm_eps: expected"),
  ("BertModel", {"hidden_dropout_prob": 1}, "hidden_dropout_prob: expected a"),
  ("BertModel", {"vocab_size": True}, "vocab_size: expected a whole number"),
  (
    "BertModel",
    {"auto_map": {"AutoModel": "m.Own"}},
    "auto_map: expected None",
  ),
  (
    "BertModel",
    {"quantization_config": {"bits": 4}},
    "quantization_config: ",
  ),
  (
    "CLIPModel",
    {"quantization_config": {"bits": 4}},
    "quantization_config: ",
  ),
  ("CLIPModel", {"vision_config": "base"}, "vision_config: expected an object"),
  ("CLIPModel", {"vision_config_dict": []}, "vision_config_dict: expected an"),
  (
    "CLIPModel",
    {"vision_config": {"num_channels": 1}},
    "vision_config: num_channels: expected 3, got 1",
  ),
  ("ViTModel", {"num_channels": 4}, "num_channels: expected 3, got 4"),
  ("ViTModel", {"qkv_bias": False}, "qkv_bias: expected True, got False"),
  ("Dinov2Model", {"use_swiglu_ffn": True}, "use_swiglu_ffn: expected False"),
  ("Dinov2Model", {"mlp_ratio": 0}, "mlp_ratio: expected a number above 0"),
  (
    "Dinov2Model",
    {"model_type": "dinov2_with_registers"},
    "expected a vision encoder, of model_type clip_vision_model or clip or vit"
    " or dinov2, got model_type 'dinov2_with_registers'",
  ),
  (
    "ViTModel",
    {"image_size": [12, 8]},
    "image_size: expected the side of a sq",
  ),
  ("ViTModel", {"image_size": []}, "image_size: expected the side of a square"),
  ("ViTModel", {"image_size": None}, "image_size: expected a whole number"),
  ("ViTModel", {"patch_size": {"height": 4}}, "patch_size: expected a whole"),
  ("ViTModel", {"image_size": 14}, "image_size: expected a multiple of patch_"),
]


@pytest.mark.parametrize(("kind", "changes", "message"), REFUSED)
def test_a_setting_is_refused_in_one_line(
  kind, changes, message, folders, tmp_path
):
  folder = changed(folders, kind, tmp_path, **changes)
  with pytest.raises(ValueError, match=re.escape(message)) as caught:
    read_stream(folder, SIDES.get(kind, "vision"))
  first = str(caught.value)
  assert first.startswith(f"{folder}/config.json: ")
  assert "\n" not in first


@pytest.mark.parametrize(
  "changes",
  [
    {"image_size": [12, 12], "patch_size": [4, 4]},
    {"image_size": [12]},
    {"hidden_dropout_prob": None, "quantization_config": None},
    {"pooler_act": "relu", "encoder_stride": 32, "a_key_of_no_class": 1},
  ],
)
def test_other_forms_of_the_same_settings(changes, folders, tmp_path):
  folder = changed(folders, "ViTModel", tmp_path, **changes)
  want = read_stream(folders["ViTModel"], "vision")
  assert read_stream(folder, "vision").config == want.config


def test_dropout_of_a_vision_encoder_makes_a_note(folders, tmp_path):
  folder = changed(folders, "ViTModel", tmp_path, hidden_dropout_prob=0.2)
  (note,) = [x for x in read_stream(folder, "vision").notes if "drop" in x]
  assert note.startswith("hidden_dropout_prob 0.2: ")
  notes = read_stream(folders["ViTModel"], "vision").notes
  assert not [x for x in notes if "drop" in x]


def test_an_adapter_is_refused(folders, tmp_path):
  folder = hf_models.copy(folders["BertModel"], tmp_path / "model")
  (folder / "adapter_config.json").write_text("{}")
  with pytest.raises(ValueError, match=r"adapter_config\.json: expected weigh"):
    read_stream(folder, "text")


@pytest.mark.parametrize("ids", [5, [], ["a"], [1, 2, 3], [7, 6, 5, 4]])
def test_markers_that_are_no_ids(ids, folders, tmp_path):
  folder = changed(folders, "BertModel", tmp_path, entity_markers=ids)
  message = r"config\.json: entity_markers: expected 4 ids in a row, got"
  with pytest.raises(ValueError, match=message):
    from_huggingface(folder)
