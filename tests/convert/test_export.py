"""Exports: exact round trips, and loading by transformers."""

import dataclasses

import hf_models
import jax
import numpy as np
import pytest
import raw_tree
import tiny
import torch
import transformers
from safetensors.numpy import load_file, save_file

from ifa_jax import models
from ifa_jax.convert import from_huggingface
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.huggingface.export import (
  REST,
  export_huggingface,
  read_rest,
)
from ifa_jax.data.text.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

VISION = {
  "CLIPVisionModel": {},
  "ViTModel": {
    "patch_bias": True,
    "pre_norm": False,
    "norm_epsilon": 1e-12,
    "activation": "gelu",
  },
}


def trained(kind):
  """Returns the config and random parameters of a model, as if trained."""
  config = tiny.tiny_config()
  vision = dataclasses.replace(config.vision, **VISION[kind])
  config = models.replace(
    config, vision=vision, text_attention=False, num_relations=7
  )
  return config, tiny.perturbed_params(config)


def assert_same(got, want):
  jax.tree.map(np.testing.assert_array_equal, got, want)


def parts_of(out):
  return {
    "text": out / "text",
    "vision": out / "vision",
    "rest": out / REST,
  }


@pytest.mark.parametrize("kind", VISION)
def test_transformers_loads_an_export(kind, tmp_path):
  config, params = trained(kind)
  export_huggingface(tmp_path / "out", config, params)
  for side, name in (("text", "BertModel"), ("vision", kind)):
    model, report = getattr(transformers, name).from_pretrained(
      tmp_path / "out" / side, output_loading_info=True
    )
    assert not any(report.values()), report
    assert type(model).__name__ == name
  table = model.state_dict()
  assert all(torch.isfinite(weight).all() for weight in table.values())
  processor = transformers.AutoImageProcessor.from_pretrained(
    tmp_path / "out" / "vision", backend="pil"
  )
  assert tuple(processor.image_mean) == config.vision.image_mean


@pytest.mark.silent_input
def test_relations_are_exported(tmp_path):
  """So that a run with other relations does not load the head."""
  config, params = trained("ViTModel")
  names = ["None", *(f"/é/{i}" for i in range(6))]
  for out, relations in (("a", names), ("b", None)):
    export_huggingface(tmp_path / out, config, params, relations=relations)
    converted = conversion.convert(**parts_of(tmp_path / out))
    assert converted.info["relations"] == relations


@pytest.mark.parametrize("kind", VISION)
def test_an_export_converts_back_to_the_same_model(kind, tmp_path):
  config, params = trained(kind)
  export_huggingface(tmp_path / "a", config, params)
  again, moved = from_huggingface(**parts_of(tmp_path / "a"))
  assert again == models.replace(config, text=again.text) == config
  assert_same(moved, params)
  export_huggingface(tmp_path / "b", again, moved)
  for path in sorted((tmp_path / "a").rglob("*.*")):
    other = tmp_path / "b" / path.relative_to(tmp_path / "a")
    assert path.read_bytes() == other.read_bytes(), path


def test_encoders_round_trip(tmp_path):
  """PyTorch -> here -> PyTorch: the same weights, except for unread ones."""
  given = {"text": "BertModel", "vision": "CLIPVisionModel"}
  for side, kind in given.items():
    hf_models.save(tmp_path / side, kind)
  config, params = from_huggingface(tmp_path / "text", tmp_path / "vision")
  export_huggingface(tmp_path / "out", config, params)
  for side in given:
    want = load_file(tmp_path / side / "model.safetensors")
    got = load_file(tmp_path / "out" / side / "model.safetensors")
    assert got.keys() == want.keys()
    for name in want:
      unread = name.startswith(("pooler", "post_layernorm"))
      same = np.array_equal(got[name][: len(want[name])], want[name])
      assert same != unread, name


def test_the_vocabulary_does_not_grow_twice(tmp_path):
  """Neither with a tokenizer that has the markers nor without one."""
  raw_tree.write_tokenizer(tmp_path / "text")
  tokenizer = Tokenizer.load(tmp_path / "text")
  model = hf_models.make("BertModel")
  model.resize_token_embeddings(tokenizer.vocab_size - 4)
  model.save_pretrained(tmp_path / "text")
  vision = hf_models.save(tmp_path / "vision", "ViTModel")
  first = conversion.convert(tmp_path / "text", vision)
  for out, given in (("a", first.tokenizer), ("b", None)):
    export_huggingface(tmp_path / out, first.model_config, first.params, given)
    config, params = from_huggingface(
      tmp_path / out / "text", tmp_path / out / "vision"
    )
    assert config.text.vocab_size == tokenizer.vocab_size
    assert_same(params["text"], first.params["text"])


def test_the_tokenizer_gives_the_markers_their_ids(tmp_path):
  tokenizer = Tokenizer.load(raw_tree.write_tokenizer(tmp_path / "tokenizer"))
  config, params = trained("ViTModel")
  text = dataclasses.replace(config.text, vocab_size=tokenizer.vocab_size)
  config = models.replace(config, text=text)
  params = tiny.perturbed_params(config)
  export_huggingface(tmp_path / "out", config, params, tokenizer)
  theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out" / "text")
  size = tokenizer.vocab_size
  ids = theirs("<s> bill </s> in <o> hollywood </o>")["input_ids"]
  ours = tokenizer.encode(["bill", "in", "hollywood"], (0, 1), (2, 3), 20)
  assert ids == ours.input_ids
  assert len(theirs) == size
  # Here it is the tokenizer that it was.
  read = Tokenizer.load(tmp_path / "out" / "text")
  assert (read.vocab_size, read.sha256) == (size, tokenizer.sha256)
  again = read.encode(["<s>", "in", "</s>"], (0, 1), (2, 3), 20)
  assert again == tokenizer.encode(["<s>", "in", "</s>"], (0, 1), (2, 3), 20)


def test_a_text_model(tmp_path):
  config = tiny.tiny_config(vision=None)
  params = tiny.perturbed_params(config)
  export_huggingface(tmp_path / "out", config, params)
  assert not (tmp_path / "out" / "vision").exists()
  given = parts_of(tmp_path / "out") | {"vision": None}
  again, moved = from_huggingface(**given)
  assert again == config
  assert_same(moved, params)


def test_a_rest_of_other_encoders(tmp_path):
  config, params = trained("ViTModel")
  export_huggingface(tmp_path / "out", config, params)
  given = parts_of(tmp_path / "out")
  other = hf_models.save(tmp_path / "other", "ViTModel")
  with pytest.raises(ValueError, match="other: expected image_size 16 as in"):
    from_huggingface(**given | {"vision": other})
  with pytest.raises(ValueError, match="leave out the other settings"):
    from_huggingface(**given, num_crops=5)
  with pytest.raises(ValueError, match=r"expected the rest\.safetensors of"):
    from_huggingface(
      **given | {"rest": tmp_path / "out" / "text" / "model.safetensors"}
    )
  message = "(?s)cannot convert .*rest.*visual/layer_1.*got nothing"
  with pytest.raises(ValueError, match=message):
    from_huggingface(**given | {"vision": None})


def test_a_visual_stream_of_neither_kind(tmp_path):
  config, params = trained("ViTModel")
  odd = dataclasses.replace(config.vision, patch_bias=False)
  config = models.replace(config, vision=odd)
  with pytest.raises(
    ValueError, match=r"\(pre_norm, patch_bias\) .*\(False, F"
  ):
    export_huggingface(tmp_path / "out", config, params)
  assert list(tmp_path.iterdir()) == []


def test_a_rest_holds_the_other_parameters(tmp_path):
  config, params = trained("ViTModel")
  export_huggingface(tmp_path / "out", config, params)
  held = load_file(tmp_path / "out" / REST)
  assert set(held) == {
    "relation_head/bias",
    "relation_head/kernel",
    "visual/embed/detected_position",
    "visual/embed/grounded_position",
  }
  save_file(held, tmp_path / "bare.safetensors")
  with pytest.raises(ValueError, match="in its metadata"):
    read_rest(tmp_path / "bare.safetensors")
