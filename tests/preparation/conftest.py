"""The settings of a small tree, for the tests of a preparation."""

import pytest
import raw_tree
import small_tree


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory):
  return raw_tree.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def settings(tmp_path, small_tokenizer):
  return small_tree.write(tmp_path, small_tokenizer)
