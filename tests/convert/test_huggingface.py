"""Encoders combined to a model, and combinations that do not fit."""

import hf_models
import jax
import numpy as np
import pytest
import raw_tree
import tiny

from ifa_jax.convert import from_huggingface
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.huggingface.encoder_weights import read_stream
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import (
  ModelConfig,
  TextConfig,
  VisionConfig,
  build,
  parameters,
)

pytestmark = pytest.mark.slow


def test_the_vocabulary_grows_by_the_markers(folders):
  text, vision = folders["BertModel"], folders["CLIPVisionModel"]
  config, params = from_huggingface(text, vision, seed=3)
  table = params["text"]["embed"]["word"]["embedding"]
  published = read_stream(text, "text").params["text/embed/word/embedding"]
  assert config.text.vocab_size == hf_models.VOCAB + 4 == len(table)
  np.testing.assert_array_equal(table[:-4], published)
  assert 0.01 < table[-4:].std() < 0.03
  again = from_huggingface(text, vision, seed=3)[1]
  other = from_huggingface(text, vision, seed=4)[1]
  for params, equal in ((again, True), (other, False)):
    rows = params["text"]["embed"]["word"]["embedding"][-4:]
    assert np.array_equal(rows, table[-4:]) == equal


@pytest.mark.parametrize(("rows", "want"), [(0, 4), (2, 4), (4, 4), (9, 9)])
def test_markers_follow_the_tokenizer(rows, want, tmp_path):
  """The table has `rows` more rows than the tokenizer, and none is lost."""
  raw_tree.write_tokenizer(tmp_path)
  published = len((tmp_path / "vocab.txt").read_text().splitlines())
  model = hf_models.make("BertModel")
  model.resize_token_embeddings(published + rows)
  model.save_pretrained(tmp_path)
  text = read_stream(tmp_path, "text")
  tokenizer = Tokenizer.load(tmp_path)
  assert tokenizer.vocab_size == published + 4
  size = conversion.vocabulary_rows(text, tokenizer)
  assert size == published + want


def test_a_token_without_a_row_is_refused(tmp_path):
  raw_tree.write_tokenizer(tmp_path)
  published = len((tmp_path / "vocab.txt").read_text().splitlines())
  hf_models.save(tmp_path, "BertModel")
  message = f"{tmp_path}: expected a tokenizer of at most 40 tokens, as the"
  with pytest.raises(ValueError, match=f"{message}.*, got {published}$"):
    from_huggingface(text=tmp_path)


@pytest.mark.parametrize("given", ["text", "vision"])
def test_an_omitted_encoder_has_the_sizes_of_the_other(given, folders):
  kind = {"text": "BertModel", "vision": "ViTModel"}[given]
  args = {"text": None, "vision": None, given: folders[kind]}
  options = conversion.Options(num_crops=2, num_relations=7)
  converted = conversion.convert(**args, rest=None, options=options)
  config = converted.model_config
  assert config.text.hidden_dim == config.vision.hidden_dim == 24
  assert config.text.num_layers == config.vision.num_layers == 3
  assert (config.vision.num_crops, config.num_relations) == (2, 7)
  root = {"text": "text", "vision": "visual"}[given]
  fresh = {path.split("/")[0] for path in converted.info["initialised"]}
  assert fresh == {"text", "visual", "relation_head"}
  brought = [p for p in converted.info["initialised"] if p.startswith(root)]
  assert len(brought) == (1 if given == "text" else 2)
  kinds = {leaf.dtype.name for leaf in jax.tree.leaves(converted.params)}
  assert kinds == {"float32"}


def test_part_of_a_deeper_encoder(folders, tmp_path):
  deep = hf_models.save(tmp_path, "CLIPVisionModel", num_hidden_layers=5)
  text = folders["BertModel"]
  message = "one depth.*got 3 in .* and 5 in .*vision_layers=first:3"
  with pytest.raises(ValueError, match=message):
    from_huggingface(text, deep)
  config, params = from_huggingface(text, deep, vision_layers="first:3")
  assert config.vision.num_layers == 3
  whole = read_stream(deep, "vision").params
  kernel = params["visual"]["layer_2"]["mlp_in"]["kernel"]
  np.testing.assert_array_equal(kernel, whole["visual/layer_2/mlp_in/kernel"])
  assert set(params["visual"]) == {"embed", "layer_0", "layer_1", "layer_2"}


def test_a_deeper_text_encoder(folders, tmp_path):
  deep = hf_models.save(tmp_path, "BertModel", num_hidden_layers=4)
  with pytest.raises(ValueError, match="with text_layers=first:3"):
    from_huggingface(deep, folders["ViTModel"])
  cut = read_stream(deep, "text", "first:3")
  assert cut.config.num_layers == 3
  assert len(cut.dropped["layers from 3 on"]) == 16


@pytest.mark.parametrize(
  "layers", ["3", "last:3", "first:", "first:0", "first:9"]
)
def test_wrong_layers(layers, folders):
  with pytest.raises(ValueError, match="layers: expected first:N, N from"):
    from_huggingface(vision=folders["ViTModel"], vision_layers=layers)


@pytest.mark.parametrize("omitted", ["text", "vision"])
def test_layers_of_no_encoder(omitted, folders):
  kind = {"text": "ViTModel", "vision": "BertModel"}[omitted]
  (side,) = {"text", "vision"} - {omitted}
  options = {side: folders[kind], f"{omitted}_layers": "first:1"}
  message = f"{omitted}_layers: expected a {omitted} encoder, got none"
  with pytest.raises(ValueError, match=message):
    from_huggingface(**options)


@pytest.mark.parametrize(
  ("option", "message"),
  [
    ({"num_relations": 0}, "num_relations: expected at least 1, got 0"),
    ({"image_size": 0}, "image_size: expected at least 1, got 0"),
    ({"image_size": -4}, "image_size: expected at least 1, got -4"),
    ({"image_size": 2}, "image_size: expected a multiple of patch_size 4"),
    ({"num_crops": -1}, "num_crops: expected at least 1, got -1"),
    ({"num_crops": "3"}, "num_crops: expected int, got '3'"),
    ({"num_crop": 3}, "num_crop: no such setting; did you mean num_crops"),
    ({"seed": 2**32}, "seed: expected at least 0 and below 4294967296"),
    ({"seed": -1}, "seed: expected at least 0 and below 4294967296"),
  ],
)
def test_wrong_options(option, message, folders):
  with pytest.raises(ValueError, match=message):
    from_huggingface(vision=folders["ViTModel"], **option)


def test_widths_that_differ(folders, tmp_path):
  wide = hf_models.save(tmp_path, "ViTModel", hidden_size=32)
  with pytest.raises(ValueError, match=r"one width.*got 24 in .* and 32 in"):
    from_huggingface(folders["BertModel"], wide)


def test_neither_side():
  with pytest.raises(ValueError, match="expected text, vision or both"):
    from_huggingface()


def test_another_image_size(folders):
  text, vision = folders["BertModel"], folders["ViTModel"]
  config, params = from_huggingface(text, vision, image_size=20)
  assert config.vision.image_size == 20
  assert params["visual"]["embed"]["position"].shape == (1 + 5**2, 24)


def test_patches_of_14_pixels(folders, tmp_path):
  sizes = {"image_size": 56, "patch_size": 14}
  vision = hf_models.save(tmp_path / "vit", "CLIPVisionModel", **sizes)
  config, params = from_huggingface(folders["BertModel"], vision)
  sides = {name: side for name, _, side in config.picture_slots}
  assert sides == {"image": 56, "grounded": 56, "detected": 28}
  embed = params["visual"]["embed"]
  assert embed["patch"]["kernel"].shape == (14 * 14 * 3, 24)
  assert embed["position"].shape == (1 + 4 * 4, 24)
  batch = tiny.random_batch(config, 2)
  apply = jax.jit(build(config).apply)
  found = apply({"params": params}, batch).logits
  changed = apply({"params": params}, batch.replace(image=255 - batch.image))
  assert np.all(np.isfinite(found))
  assert np.abs(found - changed.logits).max() > 1e-4


def test_full_size_count_of_patches_of_16_pixels():
  vision = VisionConfig(patch_size=16, patch_bias=True, pre_norm=False)
  shapes = parameters.param_shapes(ModelConfig(TextConfig(), vision))
  sizes = [
    np.prod(x) for path, x in shapes.items() if path.startswith("visual")
  ]
  # 86 389 248 of ViT-B/16, less pooler and last norm, and 60 rows of 768 for
  # crops.
  assert sum(sizes) == 85_843_200
