"""Detectors and grounders: transformers' pipelines, from a folder or the hub.

Weights are read from safetensors files only, and no code of a model's folder
runs. PyTorch is loaded when a model is.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from ifa_jax.convert import sources

DETECTION, GROUNDING = "object-detection", "zero-shot-object-detection"

_INSTALL = "pip install torch timm"
# What a folder's models, processors and tokenizers are read from.
_SUFFIXES = (".json", ".txt", ".safetensors")


def pick_device(device: str | None) -> str:
  """Returns a device of PyTorch: the one asked for, else a GPU, else the CPU.

  Raises:
    ValueError: if PyTorch is not installed, or knows or finds no such device.
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
    raise ValueError(f"device: want cpu or cuda, found {device!r}") from None
  if picked.type == "cuda" and not has_gpu:
    raise ValueError(f"device: PyTorch finds no GPU for {device!r}")
  return str(picked)


def load(task: str, name: str, device: str) -> tuple[Any, sources.Source]:
  """Returns a pipeline, and where its model lies.

  Args:
    task: `DETECTION` or `GROUNDING`.
    name: a folder, or an id of the hub.
    device: of PyTorch.

  Raises:
    ValueError: in one line, if there is no such model, if it is one for
      something else, if its weights are in another form than safetensors, or if
      it needs a package that is missing.
  """
  found = sources.find(name)
  _check_kind(found, task)
  _check_weights(found)
  import transformers

  try:
    with _without_bars():
      # torchvision resizes with other rounding: with it installed or not, a
      # picture is to have the same boxes.
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
  except Exception as error:  # Of configs, of weights, of tokenizers.
    raise ValueError(
      f"{name}: no model for {task} that transformers can load ({_line(error)})"
    ) from None
  return pipeline, found


def describe(found: sources.Source) -> dict[str, str | None]:
  """Returns name, commit of the hub, and sha256 of all that is read."""
  digest = hashlib.sha256()
  for file in sorted(os.listdir(found.folder)):
    if file.endswith(_SUFFIXES):
      content = sources.sha256(os.path.join(found.folder, file))
      digest.update(f"{file}\0{content}\n".encode())
  is_own = found.folder == found.name
  commit = None if is_own else os.path.basename(found.folder)
  return {"name": found.name, "commit": commit, "sha256": digest.hexdigest()}


def _check_kind(found: sources.Source, task: str) -> None:
  """Raises ValueError for a model of another task, which a pipeline takes."""
  from transformers.models.auto import modeling_auto

  kinds = {
    DETECTION: modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    GROUNDING: modeling_auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
  }
  kind = found.read_config().get("model_type")
  if kind not in kinds[task]:
    raise ValueError(
      f"{found.name}: want a model for {task}, found one of type {kind!r}"
    )


def _check_weights(found: sources.Source) -> None:
  """Raises ValueError unless the weights are safetensors files."""
  files = [os.path.basename(path) for path in found.weight_files()]
  if not all(file.endswith(".safetensors") for file in files):
    raise ValueError(
      f"{found.name}: want weights as model.safetensors, found {files[0]},"
      " which could run code when it is read"
    )


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
  """Keeps transformers from drawing bars of its own."""
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
