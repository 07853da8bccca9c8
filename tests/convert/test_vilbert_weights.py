"""ViLBERT's file: logits against the reference, and errors."""

import dataclasses

import numpy as np
import pytest
import torch
import torch_vilbert
from vilbert_parity import assert_close, run, to_batch

from ifa_jax.convert import from_vilbert, vilbert
from ifa_jax.models import parameters

pytestmark = pytest.mark.slow

GEOMETRY = torch_vilbert.Geometry()
HEADS = {"num_heads": 4, "vision_heads": 3, "connection_heads": 5}
OPTIONS = vilbert.Options(**HEADS, num_relations=6)


@pytest.fixture(scope="module")
def weights():
  return torch_vilbert.make_weights(GEOMETRY)


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
  path = tmp_path_factory.mktemp("vilbert") / "pytorch_model.bin"
  torch.save(weights, path)
  return path


@pytest.fixture(scope="module")
def converted(path):
  return vilbert.convert(path, OPTIONS)


@pytest.mark.parametrize("pooling", ["native_mul", "entity_start"])
def test_logits_equal_the_reference(pooling, weights, converted):
  """With either relation head, which no checkpoint has."""
  head = torch_vilbert.make_head(GEOMETRY, pooling)
  inputs = torch_vilbert.make_inputs(GEOMETRY)
  config = dataclasses.replace(converted.model_config, pooling=pooling)
  layers = {
    name: {
      "kernel": head[f"head.{i}.weight"].T.numpy(),
      "bias": head[f"head.{i}.bias"].numpy(),
    }
    for i, name in enumerate(("hidden", "out"))
  }
  params = converted.params | {"relation_head": layers}
  got = run(config)(params, to_batch(inputs)).logits
  forward = torch_vilbert.forward
  want = forward(weights | head, inputs, GEOMETRY, pooling)["logits"]
  assert_close(got, want)


def test_sizes_are_read_from_the_arrays(converted):
  g, config = GEOMETRY, converted.model_config
  text, vision = config.text, config.vision
  assert (text.vocab_size, text.max_len) == (g.vocab + 4, g.max_len)
  assert (text.num_layers, vision.num_layers) == (g.text_layers, 2)
  assert (text.mlp_dim, vision.mlp_dim) == (g.text_mlp, g.visual_mlp)
  assert (text.num_heads, vision.num_heads) == (4, 3)
  connection = config.connection
  assert (connection.hidden_dim, connection.num_layers) == (g.dim, 2)
  assert connection.num_heads == 5
  assert config.regions.feature_dim == g.feature_dim
  assert (config.pooling, config.num_relations) == ("native_mul", 6)


def test_initialised_and_dropped_parameters(weights, converted, path):
  info = converted.info
  assert info["initialised"] == [
    *(
      f"relation_head/{layer}/{part}"
      for layer in ("hidden", "out")
      for part in ("bias", "kernel")
    ),
    "text/embed/word/embedding, rows 40 to 43",
  ]
  reasons = info["dropped"]["checkpoint"]
  assert [len(names) for names in reasons.values()] == [8, 7]
  assert set(reasons) == {"declared and never read", "a head of pretraining"}
  table = converted.params["text"]["embed"]["word"]["embedding"]
  published = weights["bert.embeddings.word_embeddings.weight"].numpy()
  np.testing.assert_array_equal(table[:-4], published)
  assert 0.01 < table[-4:].std() < 0.03
  assert set(converted.params) == {
    path.split("/")[0]
    for path in parameters.param_shapes(converted.model_config)
  }
  (digest,) = info["sources"]["checkpoint"]["files"].values()
  assert len(digest) == 64


def test_the_multi_task_release(weights, converted, tmp_path):
  """Its heads and its table of task tokens are dropped."""
  others = {
    "bert.embeddings.task_embeddings.weight": torch.ones(20, 24),
    "vil_prediction.logit_fc.0.weight": torch.ones(40, 20),
    "vil_tri_prediction.bias": torch.ones(3),
    "vision_logit.weight": torch.ones(1, 30),
    "linguisic_logit.bias": torch.ones(1),
  }
  torch.save(weights | others, tmp_path / "model.bin")
  again = vilbert.convert(tmp_path / "model.bin", OPTIONS)
  assert again.model_config == converted.model_config
  left = again.info["dropped"]["checkpoint"]
  names = {*left["a head of another task"], *left["no text has a task's token"]}
  assert names == {*others}


STEM = "bert.encoder.c_layer.1"


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      lambda w: w.pop(f"{STEM}.biOutput.LayerNorm2.bias"),
      r"connection_1/text/attention_norm/bias: expected \(24,\), got nothing",
    ),
    (
      lambda w: w.update({f"{STEM}.adapter.weight": torch.ones(2, 2)}),
      r"adapter\.weight: expected one rule that matches, got 0",
    ),
    (
      lambda w: w.update({f"{STEM}.biattention.key1.weight": torch.ones(9, 9)}),
      r"visual/attention/key/kernel: expected \(30, 20\), got \(9, 9\)",
    ),
    (
      lambda w: w.pop("bert.v_embeddings.image_embeddings.weight"),
      r"image_embeddings\.weight: expected a matrix, got nothing",
    ),
    (
      lambda w: w.pop("bert.v_pooler.dense.weight"),
      r"visual_pooler/kernel: expected \(30, 20\), got nothing",
    ),
  ],
)
def test_other_names_and_shapes_are_refused(change, message, weights, tmp_path):
  spoiled = dict(weights)
  change(spoiled)
  torch.save(spoiled, tmp_path / "x.bin")
  with pytest.raises(ValueError, match=f"(?s)x.bin.*{message}"):
    from_vilbert(tmp_path / "x.bin", **HEADS)


def test_heads_that_do_not_divide(path):
  with pytest.raises(
    ValueError, match=r"connection\.num_heads: expected a divisor"
  ):
    from_vilbert(path, **HEADS | {"connection_heads": 3})


def test_a_file_without_a_state_dict(tmp_path):
  torch.save([torch.ones(1)], tmp_path / "x.bin")
  with pytest.raises(ValueError, match="expected a state dict of tensors"):
    from_vilbert(tmp_path / "x.bin")


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"vision_heads": 0}, "vision_heads: expected at least 1, got 0"),
    ({"num_head": 4}, "num_head: no such setting; did you mean num_heads"),
  ],
)
def test_wrong_options(path, options, message):
  with pytest.raises(ValueError, match=message):
    from_vilbert(path, **HEADS | options)
