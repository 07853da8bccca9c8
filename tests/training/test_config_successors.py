"""The published settings of the later systems, and their pretrained parts."""

import jax
import optim_section
import pytest
from flax import traverse_util

from configs import mnre
from ifa_jax.models import parameters, registry
from ifa_jax.training import optimizer
from ifa_jax.training.config import successors

# Batch size, epochs, and the rate of BERT.
BUDGETS = {
  "mkgformer": (32, 12, 1e-5),
  "mkgformer_released": (32, 12, 1e-5),
  "hvformer": (32, 20, 1e-5),
  "hvpnet": (16, 15, 3e-5),
  "hvpnet_released": (16, 15, 3e-5),
}
FROZEN = {
  "mkgformer_released": {"relation_head"},
  "hvformer": {"visual"},
  "hvpnet_released": {"relation_head", "pyramid/absent"},
}


def tree_of(config):
  model = registry.from_dict(config.model.to_dict() | {"dtype": "float32"})
  return parameters.param_shapes(model)


@pytest.mark.parametrize("name", successors.VARIANTS)
def test_published_training(name):
  config = mnre.get_config(name)
  size, epochs, rate = BUDGETS[name]
  assert (config.train.batch_size, config.train.total_epochs) == (size, epochs)
  groups = config.optim.groups.to_dict()
  patterns = {key: group["pattern"] for key, group in groups.items()}
  shapes = tree_of(config)
  of = optimizer.group_parameters(_nest(shapes), patterns)
  named = {"/".join(path): group for path, group in _leaves(of)}
  assert named.keys() == shapes.keys()
  rates = {path: groups[group]["peak_lr"] for path, group in named.items()}
  assert {x for p, x in rates.items() if p.startswith("text/")} == {rate}
  frozen = {path for path, x in rates.items() if x == 0.0}
  expected = FROZEN.get(name, set())
  assert frozen == {
    path
    for path in shapes
    if any(f"{path}/".startswith(f"{part}/") for part in expected)
  }
  released = name.endswith("released") or name == "hvformer"
  assert (config.optim.decay_exclude == "") == released
  optimizer.make_optimizer(
    optim_section.read(config.optim.to_dict()), _nest(shapes), 10
  )


def _nest(shapes):
  leaves = {
    path: jax.ShapeDtypeStruct(shape, "float32")
    for path, shape in shapes.items()
  }
  return traverse_util.unflatten_dict(leaves, sep="/")


def _leaves(tree):
  return traverse_util.flatten_dict(tree).items()


def test_systems_of_pixels_start_from_both_encoders():
  for name in successors.VARIANTS:
    named = mnre.get_config(name).weights
    assert ("vision=" in named) == (not name.startswith("hvpnet"))
    assert named.startswith("text=")
