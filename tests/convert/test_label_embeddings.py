"""Embeddings of class names in place of features."""

import numpy as np
import pytest
import scene_trees
import tiny_run
import tiny_systems
from flax import traverse_util

from ifa_jax.convert import store
from ifa_jax.convert.label_embeddings import LabelVectors
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import ModelConfig, TextConfig, parameters, registry

NAMES = ["house", "heart on a house", "Zq"]


@pytest.fixture(scope="module", name="weights")
def converted_text_encoder(tmp_path_factory):
  """A text encoder of width 16 with the generated tokenizer's vocabulary."""
  text = TextConfig(
    vocab_size=813, max_len=40, num_layers=2, **tiny_systems._SIZES
  )
  config = ModelConfig(text, vision=None, num_relations=10)
  rng = np.random.default_rng(0)
  params = {
    path: rng.normal(0, 0.1, shape).astype(np.float32)
    for path, shape in parameters.param_shapes(config).items()
  }
  folder = tmp_path_factory.mktemp("weights") / "w"
  nested = traverse_util.unflatten_dict(params, sep="/")
  store.save_converted(folder, config, nested)
  return folder, params["text/embed/word/embedding"]


@pytest.fixture(scope="module", name="tokenizer")
def generated_tokenizer(raw_dir):
  return Tokenizer.load(raw_dir / "tokenizer")


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_the_mean_of_the_wordpieces(weights, tokenizer, name):
  folder, table = weights
  plain = tokenizer._backend
  ids = [
    token
    for word in name.split()
    for token in plain.encode(word, add_special_tokens=False).ids
  ]
  found = LabelVectors(folder, tokenizer)(name)
  np.testing.assert_allclose(found, table[ids].mean(axis=0), atol=1e-7)


def test_an_empty_name_is_an_unknown_word(weights, tokenizer):
  vectors = LabelVectors(weights[0], tokenizer)
  assert vectors(" ").shape == (vectors.dim,) == (16,)
  assert np.isfinite(vectors("")).all()


def test_a_run_embeds_labels_of_scenes_without_features(
  data_dir, weights, tokenizer, tmp_path
):
  folder, _ = weights
  pictures, heads = tiny_systems.write_scenes(tmp_path / "full", data_dir)
  for split, scenes in pictures.items():
    named = {
      img_id: scene._replace(
        features=None, labels=[NAMES[i % 3] for i in range(scene.num_objects)]
      )
      for img_id, scene in scenes.items()
    }
    here = {k: x for k, x in heads.items() if k.startswith(f"{split}/")}
    scene_trees.write(tmp_path / "named", named, here, split)
  data = {"scenes": str(tmp_path / "named")}
  config = tiny_run.tiny_run_config(data_dir, data=data, weights=str(folder))
  config["model"] = registry.to_dict(tiny_systems.MODELS["bert_sg"])
  built = tiny_run.build(config)
  assert built.config.model.regions.feature_dim == 16
  split = built.data.split("test")
  (batch,) = built.data.batches(split, np.arange(17)[None])
  assert "label vectors" in built.data.inputs.visual_source(split)
  vectors = LabelVectors(folder, tokenizer)
  wanted = [vectors(name) for name in NAMES]
  rows = np.flatnonzero(batch.region_mask.all(axis=1))
  assert rows.size
  for row in rows:
    np.testing.assert_allclose(batch.regions[row], wanted, atol=1e-6)
