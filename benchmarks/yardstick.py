"""IFAformer in plain PyTorch, from the layers of Hugging Face's models.

Projections and MLPs are those of `BertModel` and `CLIPVisionModel`; both
streams attend to the keys and values of both (Li et al. 2023, arXiv:2211.07504,
equation 2). With equal weights, logits and loss are those of `ifa_jax`. Axis
letters: `ifa_jax.models`.

`eager` is float32 with matrix products around a softmax and plain AdamW, as the
published code trains (zjunlp/DeepKE@4b27718, train.py:58-70, 210-222).
`compiled` is tuned PyTorch: `torch.compile`, bfloat16 under autocast with
float32 parameters, SDPA and fused AdamW. Neither clips gradients.
"""

import time
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import (
  BertConfig,
  BertModel,
  CLIPVisionConfig,
  CLIPVisionModel,
)

from ifa_jax import benchmark
from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig

Inputs = Mapping[str, torch.Tensor]
# AdamW with the settings of `benchmark.OPTIM`, without warm-up.
_OPTIM = {"lr": 1e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


def _make_text(text: TextConfig) -> BertModel:
  config = BertConfig(
    vocab_size=text.vocab_size,
    max_position_embeddings=text.max_len,
    type_vocab_size=text.num_token_types,
    layer_norm_eps=text.norm_epsilon,
    hidden_act=text.activation,
    hidden_dropout_prob=text.dropout_rate,
    attention_probs_dropout_prob=text.attention_dropout_rate,
    **_sizes(text),
  )
  return BertModel(config, add_pooling_layer=False)


def _make_visual(vision: VisionConfig) -> nn.Module:
  config = CLIPVisionConfig(
    image_size=vision.image_size,
    patch_size=vision.patch_size,
    layer_norm_eps=vision.norm_epsilon,
    hidden_act=vision.activation,
    **_sizes(vision),
  )
  tower = CLIPVisionModel(config)
  # transformers 4 wraps the tower, transformers 5 does not.
  return getattr(tower, "vision_model", tower)


def _sizes(stream: TextConfig | VisionConfig) -> dict[str, int]:
  return {
    "hidden_size": stream.hidden_dim,
    "num_hidden_layers": stream.num_layers,
    "num_attention_heads": stream.num_heads,
    "intermediate_size": stream.mlp_dim,
  }


class Yardstick(nn.Module):
  """Maps tensors of `to_inputs` to relation logits.

  Attributes:
    attention: "matmul" (products around a softmax, as in the published code)
      or "sdpa" (`scaled_dot_product_attention`).
  """

  def __init__(
    self,
    config: ModelConfig,
    attention: Literal["matmul", "sdpa"] = "matmul",
  ):
    """Builds the model with random parameters, for fusion "paper"."""
    super().__init__()
    self.config, self.attention = config, attention
    self.text = _make_text(config.text)
    self.visual = _make_visual(config.vision)
    width, crops = config.vision.hidden_dim, config.vision.num_crops
    self.grounded_position = nn.Embedding(16 * crops, width)
    self.detected_position = nn.Embedding(4 * crops, width)
    self.head_dropout = nn.Dropout(config.head_dropout_rate)
    self.head = nn.Linear(2 * width, config.num_relations)

  def forward(self, inputs: Inputs) -> torch.Tensor:
    """Returns logits, float[B, C]."""
    text = self.text.embeddings(inputs["input_ids"], inputs["token_type_ids"])
    visual, visual_mask = self._embed_visual(inputs)
    mask = torch.cat([visual_mask, inputs["attention_mask"]], dim=1)
    mask = mask[:, None, None, :]
    if self.attention == "matmul":
      lowest = torch.finfo(torch.float32).min
      mask = torch.zeros(mask.shape, device=mask.device).masked_fill(
        ~mask, lowest
      )
    for layer, other in zip(
      self.text.encoder.layer, self.visual.encoder.layers, strict=True
    ):
      text, visual = self._layer(layer, other, text, visual, mask)
    rows = torch.arange(len(text), device=text.device)
    starts = (inputs["head_start"], inputs["tail_start"])
    pair = torch.cat([text[rows, start] for start in starts], dim=-1)
    return self.head(self.head_dropout(pair))

  def _layer(self, layer, other, text, visual, mask):
    """Runs one layer of both streams; each attends to all P+T tokens."""
    bert, clip = layer.attention.self, other.self_attn
    normed = other.layer_norm1(visual)
    key = torch.cat([clip.k_proj(normed), bert.key(text)], dim=1)
    value = torch.cat([clip.v_proj(normed), bert.value(text)], dim=1)
    dropout = bert.dropout.p if self.training else 0.0
    config = self.config
    attended_text = self._attend(
      bert.query(text), key, value, mask, config.text.num_heads, dropout
    )
    attended_visual = self._attend(
      clip.q_proj(normed), key, value, mask, config.vision.num_heads, 0.0
    )
    text = layer.attention.output(attended_text, text)
    text = layer.output(layer.intermediate(text), text)
    visual = visual + clip.out_proj(attended_visual)
    return text, visual + other.mlp(other.layer_norm2(visual))

  def _attend(self, query, key, value, mask, num_heads, dropout):
    """Attends from float[B, Q, D] to float[B, S, D]: float[B, Q, D]."""
    query, key, value = (
      x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
      for x in (query, key, value)
    )
    if self.attention == "sdpa":
      attended = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout
      )
    else:
      logits = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + mask
      weights = functional.dropout(logits.softmax(dim=-1), dropout)
      attended = weights @ value
    return attended.transpose(1, 2).flatten(2)

  def _embed_visual(self, inputs):
    """Returns float[B, P, D] and bool[B, P], True = present."""
    embed = self.visual.embeddings
    table = embed.position_embedding.weight
    rows = len(inputs["input_ids"])
    hidden = [(embed.class_embedding + table[0]).expand(rows, 1, -1)]
    masks = [inputs["attention_mask"].new_ones(rows, 1)]
    for name, positions in (
      ("image", table[1:]),
      ("grounded", self.grounded_position.weight),
      ("detected", self.detected_position.weight),
    ):
      if name in inputs:
        pixels, mask = inputs[name], inputs[f"{name}_mask"]
        patches = embed.patch_embedding(pixels.flatten(0, 1)).flatten(2).mT
        masks.append(mask.repeat_interleave(patches.shape[1], dim=1))
        patches = patches.unflatten(0, mask.shape).flatten(1, 2)
        hidden.append(patches + positions[: patches.shape[1]])
    return self.visual.pre_layrnorm(torch.cat(hidden, 1)), torch.cat(masks, 1)


def to_inputs(
  batch: Batch, vision: VisionConfig, device: str = "cpu"
) -> dict[str, torch.Tensor]:
  """Returns a numpy batch as tensors on a device, with normalised pixels.

  Returns:
    `input_ids`, `token_type_ids` int64[B, T]; `attention_mask` bool[B, T];
    `head_start`, `tail_start`, `label` int64[B]; if the batch has them `image`,
    `grounded`, `detected` float32[B, K, 3, size, size], with K = 1 for `image`,
    and their masks bool[B, K].
  """
  integers = ("input_ids", "token_type_ids")
  integers += ("head_start", "tail_start", "label")
  arrays = {k: np.asarray(getattr(batch, k), np.int64) for k in integers}
  arrays["attention_mask"] = np.asarray(batch.attention_mask)
  for name in ("image", "grounded", "detected"):
    pixels, mask = getattr(batch, name), getattr(batch, f"{name}_mask")
    if pixels is not None:
      pixels = np.reshape(pixels, (len(mask), -1, *pixels.shape[-3:]))
      mask = np.reshape(mask, (len(mask), -1))
      if np.issubdtype(pixels.dtype, np.integer):
        mean, deviation = vision.image_mean, vision.image_std
        pixels = (pixels / np.float32(255) - mean) / deviation
      pixels = np.where(mask[..., None, None, None], pixels, 0)
      arrays[name] = np.moveaxis(pixels.astype(np.float32), -1, -3)
      arrays[f"{name}_mask"] = mask
  return {
    k: torch.from_numpy(np.array(v, order="C")).to(device)
    for k, v in arrays.items()
  }


class TorchRunner:
  """An update or prediction of one batch kept on the device.

  Attributes:
    compile_seconds: first step minus second; None if nothing is compiled.
    memory_bytes: peak of PyTorch on a GPU, or None on a CPU.
  """

  def __init__(
    self,
    config: ModelConfig,
    batch: Batch,
    form: Literal["eager", "compiled"],
    train: bool = True,
  ):
    """Builds the model with random parameters and runs the first steps."""
    self._device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = self._device == "cuda"
    if on_gpu:
      torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    self._compiled = form == "compiled"
    attention = "sdpa" if self._compiled else "matmul"
    model = Yardstick(config, attention).to(self._device).train(train)
    self._inputs = to_inputs(batch, config.vision, self._device)
    self._rows = len(batch.input_ids)
    self._forward = torch.compile(model) if self._compiled else model
    self._optimizer = None
    if train:
      parameters = model.parameters()
      self._optimizer = torch.optim.AdamW(
        parameters, fused=self._compiled, **_OPTIM
      )
    times = [time.perf_counter()]
    for _ in range(2 if self._compiled else 1):
      self.step()
      times.append(time.perf_counter())
    first, *others = np.diff(times).tolist()
    self.compile_seconds = first - others[0] if others else None
    self.memory_bytes = torch.cuda.max_memory_allocated() if on_gpu else None

  def step(self) -> torch.Tensor:
    """Runs once; returns the loss, or probabilities float32[B, C]."""
    half = torch.autocast(self._device, torch.bfloat16, enabled=self._compiled)
    with half, torch.set_grad_enabled(self._optimizer is not None):
      result = self._update() if self._optimizer else self._predict()
    if self._device == "cuda":
      torch.cuda.synchronize()
    return result

  def _update(self) -> torch.Tensor:
    self._optimizer.zero_grad()
    logits = self._forward(self._inputs).float()
    loss = functional.cross_entropy(logits, self._inputs["label"])
    loss.backward()
    self._optimizer.step()
    return loss.detach()

  def _predict(self) -> torch.Tensor:
    return self._forward(self._inputs).float().softmax(dim=-1)

  def run(self, seconds: float) -> float:
    """Runs for at least `seconds`; returns examples per second."""
    return self._rows * benchmark.steps_per_second(self.step, seconds)
