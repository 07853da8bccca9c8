"""Fixtures of tests that convert encoders."""

import hf_models
import pytest


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
  """One folder of each class of transformers, by its name."""
  root = tmp_path_factory.mktemp("encoders")
  kinds = hf_models.TEXT + hf_models.VISION
  return {kind: hf_models.save(root / kind, kind) for kind in kinds}
