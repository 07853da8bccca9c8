"""Detectors and grounders: transformers' pipelines, from a folder or the hub.

Weights are read only from safetensors files, and no code of a model's folder
runs. PyTorch is loaded with the first model.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from ifa_jax.convert import sources

DETECTION, GROUNDING = "object-detection", "zero-shot-object-detection"

_INSTALL = "pip install torch timm"
# The files of a folder that models, processors and tokenizers are read from.
_SUFFIXES = (".json", ".txt", ".safetensors")


def pick_device(device: str | None) -> str:
  """Returns a device of PyTorch: the given one, else a GPU, else the CPU.

  Raises:
    ValueError: if PyTorch is not installed or has no such device.
  """
  try:
    import torch
  except ImportError as error:
    raise ValueError(
      f"finding objects needs PyTorch ({error}): {_INSTALL}"
    ) from None
  has_gpu = torch.cuda.is_available()
  try:
    picked = torch.device(device or ("cuda" if has_gpu else "cpu"))
  except RuntimeError:
    raise ValueError(f"device: expected cpu or cuda, got {device!r}") from None
  if picked.type == "cuda" and not has_gpu:
    raise ValueError(f"device: PyTorch finds no GPU for {device!r}")
  return str(picked)


def load(task: str, name: str, device: str) -> tuple[Any, sources.Source]:
  """Returns a pipeline, and the source of its model.

  Args:
    task: `DETECTION` or `GROUNDING`.
    name: a folder, or an id of the hub.
    device: of PyTorch.

  Raises:
    ValueError: in one line, if there is no such model, if it is for another
      task, if its weights are not safetensors, or if a package is missing.
  """
  found = sources.find(name)
  _check(found, task)
  import transformers

  try:
    with _without_bars():
      # torchvision rounds differently when it resizes: boxes must not depend on
      # whether it is installed.
      processor = transformers.AutoImageProcessor.from_pretrained(
        found.folder, backend="pil", trust_remote_code=False
      )
      pipeline = transformers.pipeline(
        task,
        model=found.folder,
        image_processor=processor,
        device=device,
        dtype="float32",
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
      )
  except ImportError as error:
    raise ValueError(
      f"{name}: a package is missing ({_line(error)}): {_INSTALL}"
    ) from None
  except Exception as error:  # From configs, weights, tokenizers.
    raise ValueError(
      f"{name}: no model for {task} that transformers can load ({_line(error)})"
    ) from None
  return pipeline, found


def describe(found: sources.Source) -> dict[str, str | None]:
  """Returns name, commit of the hub, and sha256 of all files that are read."""
  digest = hashlib.sha256()
  for file in sorted(os.listdir(found.folder)):
    if file.endswith(_SUFFIXES):
      content = sources.sha256(os.path.join(found.folder, file))
      digest.update(f"{file}\0{content}\n".encode())
  is_own = found.folder == found.name
  commit = None if is_own else os.path.basename(found.folder)
  return {"name": found.name, "commit": commit, "sha256": digest.hexdigest()}


def _check(found: sources.Source, task: str) -> None:
  """Raises ValueError for a model of another task, or unsafe weights."""
  from transformers.models.auto import modeling_auto

  # A pipeline would accept a model of another task.
  kinds = {
    DETECTION: modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    GROUNDING: modeling_auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
  }
  kind = found.read_config().get("model_type")
  if kind not in kinds[task]:
    raise ValueError(
      f"{found.name}: expected a model for {task}, got one of type {kind!r}"
    )
  files = [os.path.basename(path) for path in found.weight_files()]
  if not all(file.endswith(".safetensors") for file in files):
    raise ValueError(
      f"{found.name}: expected weights as model.safetensors, got {files[0]},"
      " which could run code when it is read"
    )


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
  """Hides the progress bars of transformers."""
  from transformers.utils import logging

  had_bars = logging.is_progress_bar_enabled()
  logging.disable_progress_bar()
  try:
    yield
  finally:
    if had_bars:
      logging.enable_progress_bar()


def _line(error: Exception) -> str:
  """Returns the beginning of an error's text as one line."""
  return " ".join(str(error).split())[:200]
