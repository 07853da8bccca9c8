"""Names of the arrays in a checkpoint."""

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from ifa_jax.files import orbax_tree

TREE = {
  "step": np.int32(3),
  "params": {
    "text": {"layer_0": {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}},
    "head": np.arange(4.0),
  },
  "opt_state": ({"text": np.ones(2)}, ()),
}


@pytest.fixture(name="folder")
def saved_tree(tmp_path):
  with ocp.PyTreeCheckpointer() as checkpointer:
    checkpointer.save(tmp_path / "tree", TREE)
  return tmp_path / "tree"


def test_a_part_has_the_structure_that_was_saved(folder):
  found = orbax_tree.read(folder, "params")
  assert jax.tree.structure(found) == jax.tree.structure(TREE["params"])
  assert found["text"]["layer_0"]["bias"] == "text/layer_0/bias"
  assert orbax_tree.read(folder, "none") == {}


@pytest.mark.parametrize("text", ["", "[]", '{"tree_metadata": {"a": {}}}'])
def test_other_metadata_is_named(folder, text):
  (folder / "_METADATA").write_text(text)
  with pytest.raises(ValueError, match="_METADATA: expected the metadata"):
    orbax_tree.read(folder, "params")
