"""A tree whose crops leak, for the tests of the leak audit."""

import leak_trees
import pytest


@pytest.fixture(scope="session", name="released")
def tree_of_released_crops(tmp_path_factory):
  """Returns its folder. Only to be read."""
  folder = tmp_path_factory.mktemp("released") / "raw"
  return leak_trees.write(
    folder,
    leak_trees.labels(),
    leak_trees.as_released,
    leak_trees.released_query,
  )


@pytest.fixture(scope="session", name="found")
def measured_released_tree(released):
  """The findings of the audit in the tree. Only to be read."""
  from ifa_jax.analyze.leak import command

  return command.measure(released)
