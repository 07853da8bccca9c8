"""DeepKE's reference numbers, and random batches, for `torch_reference`."""

import json
import pathlib

import numpy as np
import torch
import torch_reference

FOLDER = pathlib.Path(__file__).parent / "data" / "deepke_tiny"


def geometry():
  """Returns the `Geometry` of `best_model.pth`, from its `config.json`."""
  config = json.loads((FOLDER / "config.json").read_text())
  return torch_reference.Geometry(
    layers=config["layers"],
    text_heads=config["heads"],
    vision_heads=config["heads"],
    patch=config["patch"],
    size=config["image"],
    max_len=config["maxpos"],
    vocab=config["vocab"],
    hidden=config["hidden"],
    mlp=config["inter"],
    num_relations=config["nlabels"],
  )


def weights(dtype=torch.float64):
  """Returns name -> tensor of `best_model.pth`, without its buffers."""
  saved = torch.load(FOLDER / "best_model.pth", weights_only=True)
  return {
    name: tensor.to(dtype)
    for name, tensor in saved.items()
    if not name.endswith("position_ids")
  }


def inputs(num_crops=3):
  """Returns `inputs.npz` as tensors; counts of crops become masks."""
  with np.load(FOLDER / "inputs.npz") as arrays:
    batch = {name: torch.from_numpy(arrays[name]) for name in arrays}
  slots = torch.arange(num_crops)
  batch["image_mask"] = torch.ones(len(batch["labels"]), dtype=torch.bool)
  batch["grounded_mask"] = slots < batch.pop("num_aux")[:, None]
  batch["detected_mask"] = slots < batch.pop("num_rcnn")[:, None]
  return batch


def expected(name):
  """Returns `expected_<name>.npz` as a dict of numpy arrays."""
  with np.load(FOLDER / f"expected_{name}.npz") as arrays:
    return dict(arrays)


def random_inputs(geometry, seed, batch_size=3, text_len=20):
  """Draws a batch with padding and absent crops; pixels there are zero.

  The last sample lacks its global image. Markers come in either order.
  """
  g, rng = geometry, np.random.default_rng(seed)
  length = rng.integers(text_len // 2, text_len + 1, batch_size)
  length[0] = text_len
  starts = np.array([1 + rng.permutation(n - 2)[:2] for n in length])
  image_mask = np.arange(batch_size) < batch_size - 1
  grounded_mask, detected_mask = rng.random((2, batch_size, g.num_crops)) < 0.6

  def pixels(mask, size):
    drawn = rng.normal(size=(*mask.shape, 3, size, size))
    return drawn * mask[..., None, None, None]

  arrays = {
    "input_ids": rng.integers(0, g.vocab, (batch_size, text_len)),
    "attention_mask": (np.arange(text_len) < length[:, None]).astype(int),
    "token_type_ids": rng.integers(0, 2, (batch_size, text_len)),
    "head_start": starts[:, 0],
    "tail_start": starts[:, 1],
    "image": pixels(image_mask, g.size),
    "image_mask": image_mask,
    "aux_imgs": pixels(grounded_mask, 4 * g.patch),
    "grounded_mask": grounded_mask,
    "rcnn_imgs": pixels(detected_mask, 2 * g.patch),
    "detected_mask": detected_mask,
    "labels": rng.integers(0, g.num_relations, batch_size),
  }
  return {name: torch.from_numpy(array) for name, array in arrays.items()}
