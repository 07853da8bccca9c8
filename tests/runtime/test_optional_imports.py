"""Packages load without optional dependencies, which can load later."""

import sys

import command_lines
import pytest

from ifa_jax.runtime import optional_imports

pytestmark = pytest.mark.slow


@pytest.fixture(name="packages")
def two_packages(tmp_path, monkeypatch):
  """`outer` imports `inner` if it is there."""
  (tmp_path / "inner.py").write_text("VALUE = 3\n")
  code = "try:\n  import inner\nexcept ImportError:\n  inner = None\n"
  (tmp_path / "outer.py").write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  yield
  for name in ("outer", "inner"):
    sys.modules.pop(name, None)


@pytest.mark.usefixtures("packages")
def test_a_package_is_hidden_inside_and_found_afterwards():
  with optional_imports.without("inner"):
    import outer
  assert outer.inner is None
  import inner

  assert inner.VALUE == 3


@pytest.mark.usefixtures("packages")
def test_a_loaded_package_stays_visible():
  import inner

  with optional_imports.without("inner"):
    import outer
  assert outer.inner is inner


@pytest.mark.usefixtures("packages")
def test_a_package_is_found_after_an_error():
  with pytest.raises(KeyError), optional_imports.without("inner"):
    raise KeyError
  assert "inner" not in sys.modules


def test_neither_training_nor_preparing_loads_keras_or_pytorch():
  line = ["tests/support/scripts/loaded_packages.py"]
  found = command_lines.run_all(
    {"train": [*line, "training"], "prepare": [*line, "preparation"]},
    loaded=["jax"],
  )
  for outcome in found.values():
    assert (outcome.status, outcome.err) == (0, "")
  first, rows, written = (
    line.split() for x in found.values() for line in x.out.splitlines()
  )
  # It is imported while the device draws the state.
  assert "tensorflow" not in first
  for loaded in (rows, written):
    assert "tensorflow" in loaded
    assert not {"keras", "torch", "transformers", "pandas"} & {*loaded}
