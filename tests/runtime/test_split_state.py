"""Which axis of an array is split over devices."""

import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from ifa_jax.models.layers import scan
from ifa_jax.runtime import split_state


@pytest.mark.parametrize(
  ("shape", "wanted"),
  [
    ((1024, 4096), (None, "data")),
    ((4096, 1024), ("data",)),
    ((512, 512), (None, "data")),
    # 8 devices do not divide the larger axis.
    ((30522, 1024), (None, "data")),
    ((1023, 1025), ()),
    ((2**17,), ("data",)),
    # Small, and too small to count with all layers.
    ((1024, 127), ()),
    ((23, 4096), ()),
    ((64, 1024), ()),
    ((), ()),
  ],
)
def test_large_arrays_are_split_along_their_largest_axis(shape, wanted):
  assert split_state.spec(shape, 8) == PartitionSpec(*wanted)


@pytest.mark.parametrize("num_layers", [8, 23, 8000])
@pytest.mark.parametrize("shape", [(384, 384), (1024, 4096), (4096, 1024)])
def test_a_layer_is_split_as_a_stack_of_layers(num_layers, shape):
  layer = split_state.spec(shape, 8)
  stack = split_state.spec((num_layers, *shape), 8)
  assert stack == PartitionSpec(None, *layer)


def test_parameters_are_untouched_where_no_state_is_split():
  params = {"head": {"kernel": jnp.ones((512, 512))}}
  assert scan.gather(params)["head"]["kernel"] is params["head"]["kernel"]
