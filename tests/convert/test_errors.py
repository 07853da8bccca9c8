"""Invalid encoders: one message that names the file."""

import os

import hf_models
import numpy as np
import pytest
import safetensors.torch
import torch

from ifa_jax.convert import from_huggingface, sources
from ifa_jax.convert.huggingface.encoder_weights import read_stream


def spoil_missing(folder):
  hf_models.change_weights(
    folder, lambda w: w.pop("encoder.layer.1.output.dense.bias")
  )


def spoil_extra(folder):
  extra = {"encoder.layer.1.adapter": np.ones(3, np.float32)}
  hf_models.change_weights(folder, lambda w: w.update(extra))


def spoil_shape(folder):
  name = "embeddings.position_embeddings.weight"
  hf_models.change_weights(
    folder, lambda w: w.update({name: w[name][:5].copy()})
  )


def spoil_cut(folder):
  path = folder / "model.safetensors"
  path.write_bytes(path.read_bytes()[:-7])


def spoil_config(folder):
  (folder / "config.json").write_text("{")


def spoil_index(folder):
  (folder / "model.safetensors").rename(folder / "part-1.safetensors")
  parts = {"a": "part-1.safetensors", "b": "../../part-2.safetensors"}
  hf_models.change_json(
    folder / "model.safetensors.index.json", weight_map=parts
  )


def spoil_type(folder):
  weights = {"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}
  safetensors.torch.save_file(weights, folder / "model.safetensors")


CULPRITS = {
  spoil_missing: "layer_1/mlp_out/bias: expected .*got nothing",
  spoil_extra: r"encoder\.layer\.1\.adapter: expected one rule .*got 0",
  spoil_shape: r"position_embeddings.*expected \(16, 24\), got \(5, 24\)",
  spoil_cut: r"model\.safetensors: damaged, cut off",
  spoil_config: r"config\.json: not JSON",
  spoil_index: r"text.part-2\.safetensors: there is no such file, which model",
  spoil_type: r"model\.safetensors: expected float16.*got another type",
  lambda folder: os.remove(folder / "config.json"): "expected a config.json",
  lambda folder: os.remove(folder / "model.safetensors"): (
    r"expected model\.safetensors or .*, got config\.json"
  ),
  lambda folder: hf_models.change_json(
    folder / "config.json", hidden_act="relu"
  ): (
    r"config\.json: hidden_act: expected one of gelu, quick_gelu, got 'relu'"
  ),
  lambda folder: hf_models.change_json(
    folder / "config.json", position_embedding_type="relative_key"
  ): r"config\.json: position_embedding_type: expected 'absolute'",
  lambda folder: hf_models.change_json(
    folder / "config.json", model_type="gpt2"
  ): (r"config\.json: expected a text encoder.*got .*'gpt2'"),
}


@pytest.mark.parametrize("spoil", CULPRITS)
def test_an_error_names_the_file_and_the_weight(spoil, folders, tmp_path):
  folder = hf_models.copy(folders["BertModel"], tmp_path / "text")
  spoil(folder)
  with pytest.raises(ValueError, match=f"(?s){CULPRITS[spoil]}") as caught:
    read_stream(folder, "text")
  assert os.fspath(folder) in str(caught.value)


def test_swapped_encoders(folders):
  with pytest.raises(
    ValueError, match=r"expected a vision encoder.*got .*'bert'"
  ):
    from_huggingface(vision=folders["BertModel"])
  with pytest.raises(ValueError, match=r"a text encoder.*got .*'clip'"):
    from_huggingface(text=folders["CLIPModel"])


@pytest.mark.parametrize(
  ("value", "found"),
  [
    ({"state_dict": {"a": torch.zeros(1)}}, "dict under 'state_dict'"),
    ({"a": torch.zeros(1), "epoch": 3}, "int under 'epoch'"),
    ([torch.zeros(1)], "list"),
  ],
)
def test_what_is_no_state_dict(value, found, tmp_path):
  path = tmp_path / "best_model.pth"
  torch.save(value, path)
  message = rf"best_model\.pth: expected a state dict of tensors, got {found}$"
  with pytest.raises(ValueError, match=message):
    sources.read_weights(path)


def test_a_missing_folder():
  with pytest.raises(ValueError, match=r"\./none: there is no such folder"):
    sources.find("./none")
