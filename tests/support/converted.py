"""Folders of converted weights, and configs that name them."""

import tiny
import tiny_run
from flax import traverse_util

from ifa_jax.convert import store
from ifa_jax.training.config.run_config import RunConfig


def flat(tree):
  """Returns path -> leaf of nested dicts."""
  return traverse_util.flatten_dict(tree, sep="/")


def save(folder, config, initialised=(), tokenizer=None, seed=3):
  """Writes random weights; returns them by path."""
  params = tiny.perturbed_params(config, seed)
  info = {"initialised": list(initialised)}
  store.save_converted(folder, config, params, info, tokenizer)
  return flat(params)


def asked_for(weights, **changes):
  """Returns the tiny config with other weights, and settings changed."""
  config = tiny_run.tiny_run_config("data", weights=str(weights), **changes)
  return RunConfig.from_dict(config)
