"""The parameter counts of docs/models.md are those of the models."""

import dataclasses
import pathlib
import re

import pytest

from configs import mnre
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.training.config.run_config import RunConfig

ROOT = pathlib.Path(__file__).parents[2]
# Numbers of object features that the table assumes.
FEATURES = {"vilbert": 2048}


def _documented() -> dict[str, int]:
  page = (ROOT / "docs/models.md").read_text()
  rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+) \|$", page, re.MULTILINE)
  return {name: int(count.replace(",", "")) for name, count in rows}


def _model(variant: str) -> System:
  """Returns a variant's model with the sizes that data and device decide."""
  config = mnre.get_config(variant).unlock()
  if "dtype" in config.model:
    config.model.dtype = "float32"
  model = RunConfig.from_dict(config.to_dict()).model
  sizes = {}
  if isinstance(model, PCNNConfig):
    sizes["vocab_size"] = 1
  if model.regions is not None and model.regions.feature_dim is None:
    sizes["regions"] = dataclasses.replace(
      model.regions, feature_dim=FEATURES.get(variant, 4096)
    )
  return dataclasses.replace(model, **sizes)


def test_every_published_variant_is_documented():
  assert set(_documented()) == set(mnre.VARIANTS) - {"tiny"}


@pytest.mark.parametrize("variant", sorted(_documented()))
def test_count(variant):
  model = _model(variant)
  count = parameters.count_params(model)
  if isinstance(model, PCNNConfig):
    # The page leaves the word vectors out, whose number the data decides.
    count -= model.vocab_size * model.word_dim
  assert count == _documented()[variant]
