"""The example of docs/contributing.md is a working system."""

import importlib.util
import pathlib
import re
import sys

import jax
import numpy as np
import pytest
import tiny_systems

from ifa_jax import Batch
from ifa_jax.models.encoders.vision import VisualStream
from ifa_jax.models.relation_head import entity_starts

pytestmark = pytest.mark.usefixtures("fast_compilation")

PAGE = pathlib.Path(__file__).parents[2] / "docs/contributing.md"
ROWS, LENGTH = 3, 8


@pytest.fixture(name="example", scope="module")
def module_of_the_page(tmp_path_factory):
  pattern = r"<!-- example: late_fusion -->\n```python\n(.*?)```"
  found = re.search(pattern, PAGE.read_text(), re.DOTALL)
  assert found is not None
  path = tmp_path_factory.mktemp("page") / "documented_late_fusion.py"
  path.write_text(found[1])
  spec = importlib.util.spec_from_file_location(path.stem, path)
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  # Dataclasses look their module up.
  sys.modules[path.stem] = module
  spec.loader.exec_module(module)
  yield module
  del sys.modules[path.stem]


def make_batch(config):
  rng = np.random.default_rng(0)
  side = config.vision.image_size
  return Batch(
    input_ids=rng.integers(1, 800, (ROWS, LENGTH), np.int32),
    attention_mask=np.arange(LENGTH) < np.array([[8], [5], [7]]),
    token_type_ids=np.zeros((ROWS, LENGTH), np.int32),
    head_start=np.array([1, 2, 5], np.int32),
    tail_start=np.array([3, 4, 1], np.int32),
    image=rng.normal(size=(ROWS, side, side, 3)).astype(np.float32),
    image_mask=np.array([True, False, True]),
  )


def test_it_computes_its_equation_also_without_pictures(example):
  mkgformer = tiny_systems.MODELS["mkgformer"]
  config = example.LateFusionConfig(
    mkgformer.text, mkgformer.vision, num_relations=10
  )
  assert [field for field, *_ in config.picture_slots] == ["image"]
  model, batch = example.LateFusion(config), make_batch(config)
  params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
  apply = jax.jit(model.apply, static_argnames="capture")
  found = apply({"params": params}, batch, capture=True)

  pair = entity_starts(found.text_hidden[-1], batch)
  visual = VisualStream(config.vision, config.rules, np.dtype("float32"))
  read = lambda *given: visual.apply(*given, method="read")  # noqa: E731
  states = read({"params": params["visual"]}, batch, True, False)
  assert len(states) == 1 + config.vision.num_layers
  mean = states[-1].hidden[:, 1:].mean(axis=1) * batch.image_mask[:, None]
  head = params["relation_head"]["out"]
  wanted = np.concatenate([pair, mean], -1) @ head["kernel"] + head["bias"]
  np.testing.assert_allclose(found.logits, wanted, atol=5e-6)

  bare = batch.replace(image=None, image_mask=None)
  without = apply({"params": params}, bare).logits
  np.testing.assert_allclose(without[1], found.logits[1], atol=5e-6)
  assert (np.abs(without - found.logits).max(axis=-1)[[0, 2]] > 1e-4).all()
