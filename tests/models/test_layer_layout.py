"""Stacked and separate layers, and the conversion of any tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifa_jax.models.layers.layer_layout import APART, LayerLayout

STACKED = LayerLayout(stacked=True)
LAYOUTS = [APART, STACKED]


def tree(num_layers):
  """Returns a stream with separate layers, and arrays outside it; float32."""
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  layers = {
    f"layer_{i}": {"norm": {"scale": draw(3)}, "kernel": draw(3, 4)}
    for i in range(num_layers)
  }
  return {"text": {"embed": draw(5, 3), **layers}, "head": {"bias": draw(2)}}


def assert_same(found, wanted):
  assert jax.tree.structure(found) == jax.tree.structure(wanted)
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("num_layers", [2, 3, 12])
def test_all_layers_but_the_last_are_stacked(num_layers):
  apart = tree(num_layers)
  text = STACKED.convert(apart)["text"]
  last = f"layer_{num_layers - 1}"
  assert {*text} == {"embed", "layers", last}
  for i in range(num_layers - 1):
    kernel = apart["text"][f"layer_{i}"]["kernel"]
    np.testing.assert_array_equal(text["layers"]["kernel"][i], kernel)
  assert_same(text[last], apart["text"][last])


@pytest.mark.parametrize("num_layers", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("given", LAYOUTS)
def test_trees_of_either_layout_are_accepted(num_layers, layout, given):
  apart = tree(num_layers)
  found = layout.convert(given.convert(apart))
  assert_same(found, layout.convert(apart))
  assert_same(APART.convert(found), apart)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_layers", [0, 1])
def test_streams_of_fewer_than_two_layers_are_unchanged(num_layers, layout):
  assert_same(layout.convert(tree(num_layers)), tree(num_layers))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
  ("place", "kind"), [(np.asarray, np.ndarray), (jnp.asarray, jax.Array)]
)
def test_numpy_and_jax_arrays_keep_their_kind(layout, place, kind):
  given = APART if layout.stacked else STACKED
  placed = jax.tree.map(place, given.convert(tree(3)))
  found = layout.convert(placed)
  assert all(isinstance(leaf, kind) for leaf in jax.tree.leaves(found))


def test_shapes_are_converted_by_tracing():
  found = jax.eval_shape(STACKED.convert, tree(4))
  assert found["text"]["layers"]["kernel"].shape == (3, 3, 4)


@pytest.mark.parametrize(
  ("second", "layout"), [("slow", STACKED), ("fast", APART)]
)
def test_only_layers_with_equal_labels_are_stacked(second, layout):
  layers = {"layer_0": "slow", "layer_1": second, "layer_2": "fast"}
  labels = {"text": {name: {"kernel": x} for name, x in layers.items()}}
  chosen = LayerLayout.choose(labels)
  assert chosen == layout
  stacked = {"layers": {"kernel": "slow"}, "layer_2": {"kernel": "fast"}}
  expected = {"text": stacked} if chosen.stacked else labels
  assert chosen.convert_labels(labels) == expected
