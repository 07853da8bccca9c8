"""Encoders in all file formats, from folders and from the hub."""

import json
import os
import shutil

import hf_models
import numpy as np
import pytest
import torch

from ifa_jax.convert import sources
from ifa_jax.convert.huggingface import encoders
from ifa_jax.convert.huggingface.encoder_weights import read_stream
from ifa_jax.models import VisionConfig


def assert_same(got, want):
  assert got.keys() == want.keys()
  for path in want:
    np.testing.assert_array_equal(got[path], want[path], err_msg=path)


@pytest.mark.parametrize(
  ("kind", "inner", "side"),
  [
    ("BertForMaskedLM", "BertModel", "text"),
    ("CLIPModel", "CLIPVisionModel", "vision"),
    ("ViTForImageClassification", "ViTModel", "vision"),
    ("Dinov2ForImageClassification", "Dinov2Model", "vision"),
  ],
)
def test_an_encoder_inside_a_larger_model(kind, inner, side, tmp_path):
  model = hf_models.make(kind)
  model.save_pretrained(tmp_path / "whole")
  alone = hf_models.make(inner)
  part = hf_models.encoder(model).state_dict()
  alone.load_state_dict(part, strict=False)
  alone.save_pretrained(tmp_path / "alone")
  whole = read_stream(tmp_path / "whole", side)
  want = read_stream(tmp_path / "alone", side).params
  # A BertForMaskedLM has none.
  own = {p: array for p, array in want.items() if not p.startswith("pooler/")}
  assert_same(whole.params, own)
  assert f"other parts than the {inner}" in whole.dropped


@pytest.mark.parametrize(
  "kind", ["BertForMaskedLM", "CLIPModel", "ViTModel", "Dinov2Model"]
)
@pytest.mark.parametrize("form", ["sharded", "bin", "bin sharded"])
def test_all_file_formats_give_the_same_weights(kind, form, folders, tmp_path):
  side = "text" if kind in hf_models.TEXT else "vision"
  want = read_stream(folders[kind], side)
  model = hf_models.make(kind)
  if form == "sharded":
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
  else:
    hf_models.copy(folders[kind], tmp_path / "in")
    shutil.move(tmp_path / "in" / "config.json", tmp_path)
    weights = model.state_dict()
    names = [*weights]
    half = len(names) // 2 if "sharded" in form else len(names)
    files = {"pytorch_model.bin": names}
    if "sharded" in form:
      files = {"a.bin": names[:half], "b.bin": names[half:]}
      index = {name: file for file, part in files.items() for name in part}
      path = tmp_path / "pytorch_model.bin.index.json"
      path.write_text(json.dumps({"weight_map": index}))
    for file, part in files.items():
      torch.save({name: weights[name] for name in part}, tmp_path / file)
  found = read_stream(tmp_path, side)
  assert_same(found.params, want.params)
  assert found.config == want.config


def test_names_of_older_files(folders, tmp_path):
  """Files from TensorFlow have gamma and beta; older ones have buffers."""

  def rename(weights):
    for name in [*weights]:
      old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
      old = old.replace("LayerNorm.bias", "LayerNorm.beta")
      weights[old] = weights.pop(name)
    weights["bert.embeddings.position_ids"] = np.arange(16)[None]

  folder = hf_models.copy(folders["BertForMaskedLM"], tmp_path / "old")
  hf_models.change_weights(folder, rename)
  want = read_stream(folders["BertForMaskedLM"], "text")
  assert_same(read_stream(folder, "text").params, want.params)


def test_other_parts_may_have_an_encoders_names(folders, tmp_path):
  folder = hf_models.copy(folders["BertForMaskedLM"], tmp_path / "model")
  name = "encoder.layer.0.output.dense.bias"
  hf_models.change_weights(
    folder, lambda w: w.update({name: 0 * w[f"bert.{name}"]})
  )
  found = read_stream(folder, "text")
  assert name in found.dropped["other parts than the BertModel"]
  want = read_stream(folders["BertForMaskedLM"], "text")
  assert_same(found.params, want.params)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("change", "got"),
  [
    (lambda scale: None, "nothing"),
    (lambda scale: scale[:, None], r"float32\(24, 1\)"),
    (lambda scale: scale[:1], r"float32\(1,\)"),
    (lambda scale: scale.astype(np.int32), r"int32\(24,\)"),
  ],
)
def test_layer_scale_that_is_missing_or_of_another_shape(
  change, got, folders, tmp_path
):
  name = "encoder.layer.1.layer_scale2.lambda1"
  folder = hf_models.copy(folders["Dinov2Model"], tmp_path / "model")

  def edit(weights):
    scale = change(weights.pop(name))
    weights |= {} if scale is None else {name: scale}

  hf_models.change_weights(folder, edit)
  message = rf"model: {name}: expected float\(24,\), got {got}$"
  with pytest.raises(ValueError, match=message):
    read_stream(folder, "vision")


@pytest.mark.silent_input
def test_a_scale_that_belongs_to_no_layer(folders, tmp_path):
  folder = hf_models.copy(folders["Dinov2Model"], tmp_path / "model")
  name = "encoder.layer.1.layer_scale3.lambda1"
  hf_models.change_weights(folder, lambda w: w.update({name: np.ones(24)}))
  with pytest.raises(ValueError, match=f"{name}: expected one rule"):
    read_stream(folder, "vision")


def test_half_precision_becomes_float32(tmp_path):
  model = hf_models.make("BertModel").bfloat16()
  model.save_pretrained(tmp_path)
  params = read_stream(tmp_path, "text").params
  want = model.embeddings.word_embeddings.weight.float().detach().numpy()
  table = params["text/embed/word/embedding"]
  assert table.dtype == np.float32
  np.testing.assert_array_equal(table, want)


def test_settings_come_from_the_checkpoint(folders, tmp_path):
  folder = hf_models.copy(folders["ViTModel"], tmp_path / "vit")
  statistics = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
  statistics |= {"size": {"shortest_edge": 12}, "resample": 3}
  statistics |= {"do_center_crop": True, "crop_size": 12}
  hf_models.change_json(folder / "preprocessor_config.json", **statistics)
  read = read_stream(folder, "vision")
  assert read.config == VisionConfig(
    image_size=12,
    patch_size=4,
    hidden_dim=24,
    num_layers=3,
    num_heads=4,
    mlp_dim=40,
    norm_epsilon=1e-12,
    activation="gelu",
    patch_bias=True,
    pre_norm=False,
    image_mean=(0.1, 0.2, 0.3),
    image_std=(0.4, 0.5, 0.6),
  )
  assert not read.notes
  usual = read_stream(folders["CLIPModel"], "vision")
  assert usual.config.image_mean == VisionConfig().image_mean
  assert "no preprocessor_config.json" in usual.notes[0]


def test_missing_keys_have_the_defaults_of_transformers():
  for encoder in encoders.ENCODERS["text"] + encoders.ENCODERS["vision"]:
    kind = getattr(hf_models, f"{encoder.architecture[:-5]}Config")
    assert encoder.read({}) == encoder.read(kind().to_dict())


@pytest.fixture
def hub(monkeypatch, folders, tmp_path):
  """A hub with one model; returns the list of requests."""
  import huggingface_hub

  asked = []

  def snapshot_download(name, allow_patterns):
    asked.append(allow_patterns)
    if name != "some/bert":
      raise OSError("401 Client Error: no such repository")
    cache = tmp_path / "cache"
    if not cache.exists():
      hf_models.copy(folders["BertModel"], cache)
    return os.fspath(cache)

  monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
  return asked


def test_a_hub_id(hub, folders):
  found = read_stream("some/bert", "text")
  assert_same(found.params, read_stream(folders["BertModel"], "text").params)
  assert found.source.name == "some/bert"
  (patterns,) = hub
  assert "config.json" in patterns
  assert not any(".bin" in pattern for pattern in patterns)


def test_a_hub_id_without_safetensors(hub, folders, tmp_path):
  cache = hf_models.copy(folders["BertModel"], tmp_path / "cache")
  os.rename(cache / "model.safetensors", cache / "pytorch_model.bin")
  assert sources.find("some/bert").folder == os.fspath(cache)
  assert hub[1] == ["pytorch_model*.bin*"]


def test_a_hub_id_with_safetensors_of_another_precision(hub, folders, tmp_path):
  cache = hf_models.copy(folders["BertModel"], tmp_path / "cache")
  os.rename(cache / "model.safetensors", cache / "model.fp16.safetensors")
  sources.find("some/bert")
  assert hub[1] == ["pytorch_model*.bin*"]


def test_an_unknown_hub_id(hub):
  message = "some/bart: neither a folder nor a model .*401"
  with pytest.raises(ValueError, match=message):
    sources.find("some/bart")
