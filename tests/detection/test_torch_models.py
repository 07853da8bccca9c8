"""Detectors and grounders that cannot be loaded, and the advice in errors."""

import json
import re
import sys

import detectors
import pytest
import torch

from ifa_jax.detection import torch_models
from ifa_jax.detection.finder import ObjectFinder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """A detector and a Grounding DINO, by name."""
  folder = tmp_path_factory.mktemp("models")
  return {
    "detector": detectors.write_detector(folder / "detector"),
    "grounder": detectors.write_grounder(folder / "grounder"),
  }


def change_config(folder, **changes):
  path = folder / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_models_that_cannot_be_loaded_are_refused(folders, tmp_path):
  empty = tmp_path / "empty"
  empty.mkdir()
  pickled = tmp_path / "pickled"
  pickled.mkdir()
  (pickled / "config.json").write_text('{"model_type": "detr"}')
  (pickled / "pytorch_model.bin").write_bytes(b"x")
  damaged = tmp_path / "damaged"
  detectors.write_detector(damaged)
  (damaged / "model.safetensors").write_bytes(b"x" * 100)
  other = tmp_path / "other"
  other.mkdir()
  (other / "config.json").write_text('{"model_type": "bert"}')
  grounder = folders["grounder"]
  for given, message in (
    ((None, None), "expected a detector, a grounder or both, got neither"),
    (("/nowhere", None), "/nowhere: there is no such folder"),
    ((str(empty), None), "config.json, .* nothing"),
    ((grounder, None), "expected a model for object-detection, got .*ing-dino"),
    ((None, str(other)), "for zero-shot-object-detection, got .*'bert'"),
    ((str(pickled), None), "expected weights as model.safetensors, got py"),
    ((str(damaged), None), f"{damaged}: no model for object-detection that"),
  ):
    with pytest.raises(ValueError, match=message) as raised:
      ObjectFinder(*given)
    assert "\n" not in str(raised.value)


def test_devices_that_are_not_there_are_refused(folders):
  with pytest.raises(ValueError, match="expected cpu or cuda, got 'toaster'"):
    ObjectFinder(folders["detector"], None, device="toaster")
  if not torch.cuda.is_available():
    with pytest.raises(ValueError, match="finds no GPU for 'cuda'"):
      ObjectFinder(folders["detector"], None, device="cuda")


@pytest.mark.parametrize("device", ["mps", "meta", "cpu:0"])
def test_a_device_is_tried(device):
  if device == "mps" and torch.backends.mps.is_available():
    pytest.skip("has a device of this kind")
  if device == "cpu:0":
    assert torch_models.pick_device(device) == device
    return
  message = rf"^device: expected one that PyTorch can use, got '{device}' \(.+"
  with pytest.raises(ValueError, match=message) as raised:
    torch_models.pick_device(device)
  assert "\n" not in str(raised.value)


@pytest.mark.parametrize("threshold", [float("nan"), float("-inf")])
def test_a_threshold_is_a_number(threshold):
  with pytest.raises(ValueError, match=r"^threshold: expected a finite number"):
    ObjectFinder("a", None, threshold=threshold)


def test_without_torch_it_says_what_to_install(folders, monkeypatch):
  monkeypatch.setitem(sys.modules, "torch", None)
  command = re.escape("pip install torch timm")
  with pytest.raises(ValueError, match=f"need PyTorch .*{command}$"):
    ObjectFinder(folders["detector"], None)


def test_a_backbone_of_timm_says_what_to_install(folders, tmp_path):
  if "timm" in sys.modules:
    pytest.skip("timm is installed")
  detectors.write_detector(tmp_path)
  change_config(tmp_path, backbone_config=None, use_timm_backbone=True)
  with pytest.raises(ValueError, match=r"a package is missing \(.*timm.*\)"):
    ObjectFinder(str(tmp_path), None)
