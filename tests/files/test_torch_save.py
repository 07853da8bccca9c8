"""`torch_save` read by PyTorch, strictly, and by `torch_file`."""

import numpy as np
import pytest
import torch

from ifa_jax.files import torch_file, torch_save

TENSORS = {
  "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
  "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
  "long name " * 40: np.full((2, 1, 3, 2), 0.1, np.float32),
  "scalar": np.float32(2.5),
  "empty": np.zeros((0, 4), np.float32),
  "ids": np.arange(70_000)[None],
}


def test_pytorch_reads_it_without_running_code(tmp_path):
  torch_save.save(tmp_path / "a.pth", TENSORS)
  loaded = torch.load(tmp_path / "a.pth", weights_only=True)
  assert list(loaded) == list(TENSORS)
  for name, want in TENSORS.items():
    assert loaded[name].is_contiguous()
    np.testing.assert_array_equal(loaded[name].numpy(), want, strict=True)


def test_torch_file_reads_it(tmp_path):
  torch_save.save(tmp_path / "a.pth", TENSORS)
  loaded = torch_file.load(tmp_path / "a.pth")
  for name, want in TENSORS.items():
    np.testing.assert_array_equal(loaded[name], want)
    assert loaded[name].dtype == want.dtype


def test_a_module_loads_it(tmp_path):
  module = torch.nn.Linear(3, 2)
  weights = {k: v.detach().numpy() for k, v in module.state_dict().items()}
  torch_save.save(tmp_path / "a.pth", weights)
  other = torch.nn.Linear(3, 2)
  other.load_state_dict(torch.load(tmp_path / "a.pth", weights_only=True))
  assert torch.equal(other.weight, module.weight)


def test_other_dtypes_are_refused(tmp_path):
  with pytest.raises(KeyError):
    torch_save.save(tmp_path / "a.pth", {"x": np.zeros(3)})
