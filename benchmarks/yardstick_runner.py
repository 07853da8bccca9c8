"""Updates and predictions of the yardstick.

`eager` is float32 with matrix products around a softmax and plain AdamW, as the
published code trains (zjunlp/DeepKE@4b27718, train.py:58-70, 210-222).
`compiled` is tuned PyTorch: `torch.compile`, bfloat16 under autocast with
float32 parameters, SDPA and fused AdamW. Neither clips gradients.
"""

import time
from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

from benchmarks.yardstick import Yardstick, to_inputs
from ifa_jax import benchmark
from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig

# AdamW with the settings of `benchmark.OPTIM`, without warm-up.
_OPTIM = {"lr": 1e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


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
    forward = torch.compile(model) if self._compiled else model
    self._once = _update(model, forward) if train else _predict(forward)
    seconds = [self._timed() for _ in range(2 if self._compiled else 1)]
    self.compile_seconds = seconds[0] - seconds[1] if self._compiled else None
    self.memory_bytes = torch.cuda.max_memory_allocated() if on_gpu else None

  def step(self) -> torch.Tensor:
    """Runs once; returns the loss, or probabilities float32[B, C]."""
    device, enabled = self._device, self._compiled
    with torch.autocast(device, torch.bfloat16, enabled=enabled):
      result = self._once(self._inputs)
    if device == "cuda":
      torch.cuda.synchronize()
    return result

  def _timed(self) -> float:
    began = time.perf_counter()
    self.step()
    return time.perf_counter() - began

  def run(self, seconds: float) -> float:
    """Runs for at least `seconds`; returns examples per second."""
    return self._rows * benchmark.steps_per_second(self.step, seconds)


def _update(model: Yardstick, forward: Callable) -> Callable:
  optimizer = torch.optim.AdamW(
    model.parameters(), fused=model.attention == "sdpa", **_OPTIM
  )

  def update(inputs):
    optimizer.zero_grad()
    loss = functional.cross_entropy(forward(inputs).float(), inputs["label"])
    loss.backward()
    optimizer.step()
    return loss.detach()

  return update


def _predict(forward: Callable) -> Callable:
  @torch.no_grad()
  def predict(inputs):
    return forward(inputs).float().softmax(dim=-1)

  return predict
