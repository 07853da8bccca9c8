"""Models of transformers, run by PyTorch, from a folder or the hub.

Weights are read only from safetensors files, and no code of a model's folder
runs. PyTorch is loaded with the first model.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image

from ifa_jax.convert import sources
from ifa_jax.files.shown import one_line

DETECTION, GROUNDING = "object-detection", "zero-shot-object-detection"
CAPTIONING = "image-text-to-text"

_INSTALL = "pip install torch timm"
# The files of a folder that models, processors and tokenizers are read from.
_SUFFIXES = (".json", ".txt", ".jinja", ".model", ".safetensors")
# Files of models that generate text, in addition to those of encoders.
_MORE_FILES = (
  "generation_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "video_preprocessor_config.json",
  "tokenizer.model",
  "spiece.model",
)
# Beyond it, resizing the longer side leaves nothing of the shorter one, and
# resizing the shorter side takes too much memory.
_MAX_ASPECT = 100
# On a CPU more pictures at once take more memory and no less time.
_BATCH_SIZES = {"cpu": 1}
_BATCH_SIZE = 8


def pick_device(device: str | None) -> str:
  """Returns a device of PyTorch: the given one, else a GPU, else the CPU.

  Raises:
    ValueError: if PyTorch is not installed or has no such device.
  """
  try:
    import torch
  except ImportError as error:
    raise ValueError(
      f"models that read pictures need PyTorch ({error}): {_INSTALL}"
    ) from None
  has_gpu = torch.cuda.is_available()
  try:
    picked = torch.device(device or ("cuda" if has_gpu else "cpu"))
  except RuntimeError:
    raise ValueError(f"device: expected cpu or cuda, got {device!r}") from None
  if picked.type == "cuda" and not has_gpu:
    raise ValueError(f"device: PyTorch finds no GPU for {device!r}")
  try:
    torch.zeros(1, device=picked).cpu()
  except Exception as error:  # Of many types, one for each kind of device.
    raise ValueError(
      f"device: expected one that PyTorch can use, got {device!r}"
      f" ({one_line(error)})"
    ) from None
  return str(picked)


def pick_batch_size(given: int | None, device: str) -> int:
  """Returns a batch size: the given one, else 1 on a CPU and 8 on a GPU."""
  return given or _BATCH_SIZES.get(device, _BATCH_SIZE)


@contextlib.contextmanager
def enough_memory(device: str, batch_size: int) -> Iterator[None]:
  """Raises ValueError, in one line, if the device runs out of memory."""
  import torch

  try:
    yield
  except torch.OutOfMemoryError:
    raise ValueError(
      f"{device}: not enough memory for {batch_size} pictures at once; give a"
      " smaller batch_size"
    ) from None


def is_too_long(picture: Image.Image) -> bool:
  """Returns whether a picture is over 100 times longer than it is wide."""
  return max(picture.size) > _MAX_ASPECT * min(picture.size)


def load_pipeline(
  task: str, name: str, device: str
) -> tuple[Any, sources.Source]:
  """Returns a pipeline, and the source of its model.

  Args:
    task: `DETECTION` or `GROUNDING`.
    name: a folder, or an id of the hub.
    device: of PyTorch.

  Raises:
    ValueError: in one line, if there is no such model, if it is for another
      task, if its weights are not safetensors, or if a package is missing.
  """
  found = _find(task, name)
  import transformers

  with _loading(task, name):
    pipeline = transformers.pipeline(
      task,
      model=found.folder,
      image_processor=_load_image_processor(found.folder),
      device=device,
      dtype="float32",
      trust_remote_code=False,
      model_kwargs={"use_safetensors": True},
    )
  return pipeline, found


class CaptionParts(NamedTuple):
  """A model for image-text-to-text with its processor and tokenizer.

  Attributes:
    model: on its device.
    processor: of pictures and prompts, or of pictures only.
    tokenizer: of its texts.
    source: of the model.
  """

  model: Any
  processor: Any
  tokenizer: Any
  source: sources.Source


def load_captioner(name: str, device: str, dtype: str) -> CaptionParts:
  """Returns a model that describes pictures; raises as `load_pipeline`.

  Args:
    name: a folder, or an id of the hub.
    device: of PyTorch.
    dtype: of the weights, a name of PyTorch's.
  """
  found = _find(CAPTIONING, name)
  import transformers

  with _loading(CAPTIONING, name):
    processor = transformers.AutoProcessor.from_pretrained(
      found.folder, trust_remote_code=False
    )
    pictures = _load_image_processor(found.folder)
    if hasattr(processor, "image_processor"):
      processor.image_processor = pictures
      tokenizer = processor.tokenizer
    else:
      # VisionEncoderDecoder has no processor that combines the two.
      processor = pictures
      tokenizer = transformers.AutoTokenizer.from_pretrained(
        found.folder, trust_remote_code=False
      )
    model = transformers.AutoModelForImageTextToText.from_pretrained(
      found.folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
  return CaptionParts(model.to(device).eval(), processor, tokenizer, found)


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


def _find(task: str, name: str) -> sources.Source:
  """Finds a model; raises ValueError for another task, or unsafe weights."""
  found = sources.find(name, _MORE_FILES if task == CAPTIONING else ())
  from transformers.models.auto import modeling_auto

  # A pipeline would accept a model of another task.
  kinds = {
    DETECTION: modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    GROUNDING: modeling_auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
    CAPTIONING: modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
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
  return found


def _load_image_processor(folder: str) -> Any:
  import transformers

  # torchvision rounds differently when it resizes: results must not depend on
  # whether it is installed.
  return transformers.AutoImageProcessor.from_pretrained(
    folder, backend="pil", trust_remote_code=False
  )


@contextlib.contextmanager
def _loading(task: str, name: str) -> Iterator[None]:
  """Turns errors of transformers into ValueErrors of one line."""
  try:
    with _without_bars():
      yield
  except ImportError as error:
    raise ValueError(
      f"{name}: a package is missing ({one_line(error)}): {_INSTALL}"
    ) from None
  except Exception as error:  # From configs, weights, tokenizers.
    raise ValueError(
      f"{name}: no model for {task} that transformers can load"
      f" ({one_line(error)})"
    ) from None


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
