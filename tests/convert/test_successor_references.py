"""Logits of the released code of MKGformer and HVFormer, in tiny sizes.

REFERENCE_DIR has a folder for each with weights and inputs, and the float64
logits and last text states that the released PyTorch code gives for them.
"""

import functools
import os
import pathlib

import jax
import numpy as np
import pytest
import torch

import ifa_jax
from ifa_jax.convert import deepke, successors
from ifa_jax.models import build

REFERENCE_DIR = os.environ.get("REFERENCE_DIR")
pytestmark = pytest.mark.skipif(
  not REFERENCE_DIR, reason="set REFERENCE_DIR to the released codes' outputs"
)
TOLERANCE = 5e-6  # Of the largest logit or state.
HEADS = 4
READERS = {
  "mkgformer": (
    successors.convert_mkgformer,
    successors.MKGformerOptions(HEADS),
  ),
  "hvformer": (successors.convert_hvformer, deepke.Heads(HEADS)),
}


def make_batch(given):
  pixels = {
    kind: given[f"{kind}_pixels"].transpose(0, 1, 3, 4, 2)
    for kind in ("grounded", "detected")
  }
  return ifa_jax.Batch(
    input_ids=given["input_ids"].astype(np.int32),
    attention_mask=given["attention_mask"].astype(bool),
    token_type_ids=given["token_type_ids"].astype(np.int32),
    head_start=given["head_marker"].astype(np.int32),
    tail_start=given["tail_marker"].astype(np.int32),
    **pixels,
    # Zero pixels are an absent crop to the released code.
    **{f"{kind}_mask": x.any(axis=(2, 3, 4)) for kind, x in pixels.items()},
  )


@pytest.mark.parametrize("name", READERS)
def test_logits_are_those_of_the_released_code(name, tmp_path):
  folder = pathlib.Path(REFERENCE_DIR, f"{name}_tiny")
  weights = np.load(folder / "weights.npz")
  path = tmp_path / "best_model.pth"
  torch.save({k: torch.from_numpy(weights[k]) for k in weights}, path)
  convert, options = READERS[name]
  config, params, *_ = convert(path, options)
  batch = make_batch(np.load(folder / "inputs.npz"))
  apply = jax.jit(functools.partial(build(config).apply, capture=True))
  output = apply({"params": params}, batch)
  expected = np.load(folder / "expected.npz")
  for ours, theirs in (
    (output.logits, expected["logits"]),
    (output.text_hidden[-1], expected["last_hidden_state"]),
  ):
    gap = np.abs(np.asarray(ours) - theirs).max()
    assert gap <= TOLERANCE * np.abs(theirs).max()
