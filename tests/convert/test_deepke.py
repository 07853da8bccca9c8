"""DeepKE's file: exact round trips, and errors."""

import dataclasses

import jax
import numpy as np
import pytest
import reference_data
import tiny
import torch

from ifa_jax import models
from ifa_jax.convert import from_deepke
from ifa_jax.convert.deepke import export_deepke

pytestmark = pytest.mark.slow

REFERENCE = reference_data.FOLDER / "best_model.pth"
AUX = "model.vision_embeddings.aux_position_embedding.weight"
POSITIONS = "model.vision_embeddings.position_embedding.weight"


def trained(**vision):
  """Returns the config and random parameters of a model, as if trained."""
  config = tiny.tiny_config()
  vision = dataclasses.replace(config.vision, **vision)
  config = models.replace(config, vision=vision)
  return config, tiny.perturbed_params(config)


@pytest.mark.parametrize("fusion", ["released", "paper"])
def test_deepke_round_trip(fusion, tmp_path):
  config, params = from_deepke(REFERENCE, fusion=fusion)
  export_deepke(tmp_path / "a.pth", config, params)
  again, moved = from_deepke(tmp_path / "a.pth", fusion=fusion)
  assert again == config
  jax.tree.map(np.testing.assert_array_equal, moved, params)
  assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_an_export_equals_deepkes_own_file(tmp_path):
  """The same names, shapes and dtypes as its own file, and its values."""
  config, params = from_deepke(REFERENCE)
  export_deepke(tmp_path / "a.pth", config, params)
  want = torch.load(REFERENCE, weights_only=True)
  got = torch.load(tmp_path / "a.pth", weights_only=True)
  assert got.keys() == want.keys()
  for name, tensor in want.items():
    assert (got[name].shape, got[name].dtype) == (tensor.shape, tensor.dtype)
    unread = "text_pooler" in name or "vision_post_layernorm" in name
    assert torch.equal(got[name], tensor) != unread, name


@pytest.mark.parametrize(
  ("changes", "problem"),
  [
    ({"use_objects": False}, "use_objects: expected True, got False"),
    ({"text_attention": False}, "text_attention: expected True, got False"),
    ({"exchange": models.Exchange()}, r"exchange: expected None, got Exchange"),
  ],
)
def test_switches_that_deepke_does_not_have(changes, problem, tmp_path):
  config, params = from_deepke(REFERENCE, fusion="paper")
  changed = models.replace(config, **changes)
  with pytest.raises(ValueError, match=problem):
    export_deepke(tmp_path / "a.pth", changed, params)


def test_models_that_deepke_cannot_express(tmp_path):
  config, params = trained(patch_bias=True)
  message = "(?s)cannot express as DeepKE.*patch/bias: there is no place"
  with pytest.raises(ValueError, match=message):
    export_deepke(tmp_path / "a.pth", config, params)
  config, params = trained(norm_epsilon=1e-6)
  with pytest.raises(
    ValueError, match=r"norm_epsilon: expected 1e-05, got 1e-06"
  ):
    export_deepke(tmp_path / "a.pth", config, params)
  with pytest.raises(ValueError, match="expected both streams, got a text"):
    export_deepke(
      tmp_path / "a.pth", models.replace(config, vision=None), params
    )
  assert list(tmp_path.iterdir()) == []


def spoiled(path, change):
  weights = torch.load(REFERENCE, weights_only=True)
  change(weights)
  torch.save(weights, path)
  return path


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      lambda w: w.pop("classifier.bias"),
      r"relation_head/bias: expected \(23,\), got nothing",
    ),
    (
      lambda w: w.update({"model.adapter": torch.ones(1)}),
      r"model\.adapter: expected one rule that matches, got 0",
    ),
    (
      lambda w: w.update({"classifier.bias": torch.ones(22)}),
      r"relation_head/bias: expected \(23,\), got \(22,\)",
    ),
    (
      lambda w: w.pop("model.vision_embeddings.patch_embedding.weight"),
      r"patch_embedding\.weight: expected an array .* got nothing",
    ),
    (
      lambda w: w.update({AUX: w[AUX][:15].clone()}),
      r"aux_position_embedding\.weight: expected at least 16 rows, got 15",
    ),
    (
      lambda w: w.update({AUX: w[AUX][:0].clone()}),
      r"aux_position_embedding\.weight: expected a matrix, got shape \(0, ",
    ),
    (
      lambda w: w.update({POSITIONS: w[POSITIONS][:1].clone()}),
      r"s\.position_embedding\.weight: expected at least 2 rows, got 1",
    ),
  ],
)
def test_other_names_and_shapes_are_refused(change, message, tmp_path):
  path = spoiled(tmp_path / "best_model.pth", change)
  with pytest.raises(ValueError, match=f"(?s)best_model.pth.*{message}"):
    from_deepke(path)


def test_a_truncated_file(tmp_path):
  path = tmp_path / "best_model.pth"
  path.write_bytes(REFERENCE.read_bytes()[:-100])
  with pytest.raises(ValueError, match=r"best_model\.pth: expected a zip"):
    from_deepke(path)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"num_heads": 0}, "num_heads: expected at least 1, got 0"),
    ({"num_heads": -4}, "num_heads: expected at least 1, got -4"),
    ({"num_heads": 2.0}, "num_heads: expected int, got 2.0"),
    ({"fusion": "none"}, "fusion: expected one of"),
  ],
)
def test_wrong_options(options, message):
  with pytest.raises(ValueError, match=message):
    from_deepke(REFERENCE, **options)
