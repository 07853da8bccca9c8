"""Captions of pictures, by any model of transformers for image-text-to-text.

BLIP, GIT and VisionEncoderDecoder read a picture only; others, such as LLaVA
and Qwen-VL, need a prompt ("Describe the image in one sentence."), which is put
into the model's chat template if it has one. Decoding is greedy.
"""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from ifa_jax.detection import torch_models
from ifa_jax.files.shown import one_line

MAX_TOKENS = 60
DTYPES = ("float32", "bfloat16", "float16")
# Characters before a repeated prompt, such as a space.
_LEAD = 2


class Captioner:
  """A model that describes pictures.

  Attributes:
    device: of PyTorch.
    batch_size: maximum pictures in a forward pass.
  """

  def __init__(
    self,
    model: str,
    *,
    prompt: str | None = None,
    max_tokens: int = MAX_TOKENS,
    dtype: str = DTYPES[0],
    batch_size: int | None = None,
    device: str | None = None,
  ):
    """Loads the model.

    Args:
      model: a folder, or an id of the hub.
      prompt: text before the caption, or a chat model's question; optional.
      max_tokens: maximum tokens of a caption.
      dtype: of the weights, one of `DTYPES`.
      batch_size: None for 1 on a CPU and 8 on a GPU.
      device: of PyTorch; None for a GPU if there is one, else the CPU.

    Raises:
      ValueError: in one line, if the model cannot be loaded, if a package is
        missing, or if the model needs a prompt or has no use for it.
    """
    self.device = torch_models.pick_device(device)
    self.batch_size = torch_models.pick_batch_size(batch_size, self.device)
    self._prompt, self._max_tokens, self._dtype = prompt, max_tokens, dtype
    parts = torch_models.load_captioner(model, self.device, dtype)
    self._model, self._processor, self._tokenizer, self._source = parts
    # The end of a prompt must be next to the caption.
    self._tokenizer.padding_side = "left"
    self._chats = bool(getattr(self._processor, "chat_template", None))
    if self._chats and not prompt:
      raise ValueError(
        f"{model}: expected a prompt, as for any chat model, got none"
      )
    if prompt and not hasattr(self._processor, "image_processor"):
      raise ValueError(
        f"{model}: expected no prompt, which this model cannot read, got"
        f" {prompt!r}"
      )

  def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
    """Returns a caption of each RGB picture, without prompt and outer spaces.

    A picture over 100 times longer than it is wide has an empty caption.

    Raises:
      ValueError: in one line, if the device has not enough memory, or the model
        cannot read a picture with this prompt.
    """
    captions = [""] * len(pictures)
    read = [
      i for i, x in enumerate(pictures) if not torch_models.is_too_long(x)
    ]
    for start in range(0, len(read), self.batch_size):
      batch = read[start : start + self.batch_size]
      written = self._write([pictures[i] for i in batch])
      for i, caption in zip(batch, written, strict=True):
        captions[i] = caption
    return captions

  def settings(self) -> dict[str, Any]:
    """Returns everything that captions depend on; hashes the model's files."""
    return {
      "model": torch_models.describe(self._source),
      "prompt": self._prompt,
      "max_tokens": self._max_tokens,
      "dtype": self._dtype,
    }

  def _write(self, pictures: list[Image.Image]) -> list[str]:
    import torch

    with (
      torch.inference_mode(),
      torch_models.enough_memory(self.device, self.batch_size),
    ):
      try:
        inputs = self._prepare(pictures)
        inputs = inputs.to(self.device, dtype=getattr(torch, self._dtype))
        tokens = self._model.generate(
          **inputs,
          do_sample=False,
          num_beams=1,
          max_new_tokens=self._max_tokens,
        )
      except torch.OutOfMemoryError:
        raise
      except Exception as error:  # Models raise nearly anything.
        raise ValueError(
          f"{self._source.name}: expected a model that reads pictures with"
          f" prompt={self._prompt!r}, got {type(error).__name__}:"
          f" {one_line(error)}"
        ) from None
    decode = self._tokenizer.batch_decode
    texts = decode(tokens, skip_special_tokens=True)
    asked = inputs.get("input_ids")
    prompts = [""] * len(texts)
    if asked is not None:
      prompts = decode(asked, skip_special_tokens=True)
    return [*map(_without_prompt, texts, prompts)]

  def _prepare(self, pictures: list[Image.Image]) -> Any:
    """Returns the inputs of the model, on the CPU."""
    if not self._prompt:
      return self._processor(images=pictures, return_tensors="pt")
    if not self._chats:
      return self._processor(
        images=pictures,
        text=[self._prompt] * len(pictures),
        padding=True,
        return_tensors="pt",
      )
    question = {"type": "text", "text": self._prompt}
    chats = [
      [{"role": "user", "content": [{"type": "image", "image": x}, question]}]
      for x in pictures
    ]
    return self._processor.apply_chat_template(
      chats,
      add_generation_prompt=True,
      tokenize=True,
      return_dict=True,
      return_tensors="pt",
      processor_kwargs={"padding": True},
    )


def _without_prompt(text: str, prompt: str) -> str:
  """Returns a text without the prompt, which some models repeat."""
  begin = text.find(prompt)
  if 0 <= begin <= _LEAD:
    text = text[begin + len(prompt) :]
  return text.strip()
