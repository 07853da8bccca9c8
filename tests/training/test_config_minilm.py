"""configs/minilm.py: a small text encoder and a fresh visual stream."""

import jax
import pytest
import tiny

from configs import minilm
from ifa_jax.convert import store
from ifa_jax.models import parameters
from ifa_jax.training import optimizer
from ifa_jax.training.config import baselines
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig

# The others are tested in test_config_baselines.py.
VARIANTS = [n for n in minilm.VARIANTS if n not in baselines.VARIANTS]


@pytest.fixture(name="config")
def config_of_a_variant(tmp_path):
  """Returns a variant's config, resolved for a text encoder of width 16."""
  source = tiny.tiny_config()
  fresh = [p for p in parameters.param_shapes(source) if p.startswith("visual")]
  store.save_converted(
    tmp_path / "w",
    source,
    tiny.perturbed_params(source),
    {"initialised": fresh},
  )

  def make(variant):
    config = minilm.get_config(variant)
    config.weights = str(tmp_path / "w")
    return resolve(RunConfig.from_dict(config.to_dict()))

  return make


@pytest.mark.parametrize("variant", VARIANTS)
def test_groups_cover_the_model(config, variant):
  found = config(variant)
  shapes = jax.eval_shape(
    lambda: parameters.init_params(found.model, jax.random.key(0))
  )
  labels = optimizer.group_parameters(shapes, found.optim.patterns)
  assert set(jax.tree.leaves(labels["text"])) == {"text"}
  assert set(jax.tree.leaves(labels["relation_head"])) == {"new"}
  if variant == "ifaformer_caption":
    assert set(jax.tree.leaves(labels["caption"])) == {"text"}
  elif variant != "text":
    assert labels["visual"]["embed"]["grounded_position"] == "new"
    assert labels["visual"]["embed"]["class_token"] == "visual"
  optimizer.make_optimizer(found.optim, shapes, 10)


def test_the_visual_stream_has_its_own_geometry(config):
  model = config("objects").model
  assert model.text.hidden_dim == model.vision.hidden_dim == 16
  assert model.text.num_layers == model.vision.num_layers == 2
  assert (model.vision.patch_size, model.vision.mlp_dim) == (8, 384)


def test_variants_differ_only_in_their_pictures():
  objects, text, shuffled = map(
    minilm.get_config, ("objects", "text", "shuffled")
  )
  assert text.model.vision is None
  assert shuffled.data.visual_shuffle_seed == 0
  with shuffled.unlocked():
    shuffled.data.visual_shuffle_seed = None
  assert shuffled.to_dict() == objects.to_dict()
  with pytest.raises(
    ValueError, match="expected one of objects, text, shuffled"
  ):
    minilm.get_config("tiny")
