"""`torch_file` on PyTorch's own files, and on hostile ones."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from ifa_jax.files import torch_file


def write_archive(path, pickled, storages=()):
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", pickled)
    for key, raw in storages:
      archive.writestr(f"archive/data/{key}", raw)


@pytest.mark.parametrize(
  "dtype",
  [torch.float32, torch.float64, torch.float16, torch.int64, torch.bool],
)
def test_tensors_equal_torch(tmp_path, dtype):
  tensor = torch.arange(24).reshape(2, 3, 4).to(dtype)
  saved = {"plain": tensor, "view": tensor[1:, :, ::2], "turned": tensor.mT}
  torch.save(saved, tmp_path / "a.pth")
  loaded = torch_file.load(tmp_path / "a.pth")
  for name, want in saved.items():
    np.testing.assert_array_equal(loaded[name], want.numpy())


def test_bfloat16_and_scalars(tmp_path):
  torch.save(torch.tensor(1.5, dtype=torch.bfloat16), tmp_path / "a.pth")
  loaded = torch_file.load(tmp_path / "a.pth")
  assert loaded.shape == ()
  assert float(loaded) == 1.5


def test_state_dict_of_a_module(tmp_path):
  module = torch.nn.Linear(3, 2)
  torch.save(module.state_dict(), tmp_path / "a.pth")
  loaded = torch_file.load(tmp_path / "a.pth")
  assert list(loaded) == ["weight", "bias"]
  np.testing.assert_array_equal(
    loaded["weight"], module.weight.detach().numpy()
  )


def test_plain_containers(tmp_path):
  saved = {0: ["a.jpg", "b.jpg"], 7: [], "c": (1, None, 2.5, True)}
  torch.save(saved, tmp_path / "a.pth")
  assert torch_file.load(tmp_path / "a.pth") == saved


class Evil:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return (os.system, (f"touch {self.path}",))


def test_code_in_a_file_does_not_run(tmp_path):
  write_archive(tmp_path / "a.pth", pickle.dumps({0: Evil(tmp_path / "ran")}))
  with pytest.raises(
    ValueError, match=r"a\.pth: expected .* got the name .*system"
  ):
    torch_file.load(tmp_path / "a.pth")
  assert not (tmp_path / "ran").exists()


def test_a_truncated_file_is_named(tmp_path):
  path = tmp_path / "a.pth"
  torch.save({"x": torch.ones(1000)}, path)
  path.write_bytes(path.read_bytes()[:2000])
  with pytest.raises(ValueError, match=r"a\.pth: expected a zip archive"):
    torch_file.load(path)


def test_the_old_format_is_named_with_advice(tmp_path):
  torch.save(
    {"x": torch.ones(3)},
    tmp_path / "a.pth",
    _use_new_zipfile_serialization=False,
  )
  with pytest.raises(
    ValueError, match=r"a\.pth: .* before PyTorch 1\.6; .* save"
  ):
    torch_file.load(tmp_path / "a.pth")


def test_any_damage_is_a_value_error(tmp_path):
  torch.save({"x": torch.ones(5), "y": ["z"] * 3}, tmp_path / "a.pth")
  with zipfile.ZipFile(tmp_path / "a.pth") as archive:
    name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
    whole = archive.read(name)
  rng = np.random.default_rng(0)
  refused = []
  for position in range(len(whole)):
    damaged = bytearray(whole)
    damaged[position] = rng.integers(256)
    write_archive(tmp_path / "b.pth", bytes(damaged), [("0", bytes(20))])
    try:
      torch_file.load(tmp_path / "b.pth")
    except ValueError as error:
      refused.append(str(error))
  assert len(refused) > len(whole) / 4
  assert all("b.pth" in message for message in refused)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
  torch.save(torch.ones(5), tmp_path / "a.pth")
  with zipfile.ZipFile(tmp_path / "a.pth") as archive:
    name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
    pickled = archive.read(name)
  write_archive(tmp_path / "b.pth", pickled, [("0", bytes(16))])
  with pytest.raises(ValueError, match="reaches beyond its storage of 4"):
    torch_file.load(tmp_path / "b.pth")


def test_a_missing_file(tmp_path):
  with pytest.raises(FileNotFoundError):
    torch_file.load(tmp_path / "none.pth")
