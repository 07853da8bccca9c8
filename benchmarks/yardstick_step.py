"""The yardstick's updates and predictions, in the forms that it is run in.

`eager` is float32 with products around a softmax and plain AdamW, as the
published code trains (zjunlp/DeepKE@4b27718, train.py:58-70, 210-222).
`compiled` is what a careful user would run: `torch.compile`, bfloat16 under
autocast with float32 parameters, SDPA and the fused AdamW. Neither clips
gradients. Inputs lie on the device, pixels normalised.
"""

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from benchmarks.yardstick import Yardstick, to_inputs
from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig

FORMS = ("eager", "compiled")
# AdamW as `ifa_jax.benchmark` sets it, without warm-up.
_OPTIM = {"lr": 1e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


def find_device() -> str:
  """Returns "cuda" where PyTorch finds a GPU, else "cpu"."""
  return "cuda" if torch.cuda.is_available() else "cpu"


class TorchRunner:
  """A form's update or prediction, ready to be run for a while.

  Attributes:
    num_params: of the model.
    compile_seconds: by which the first step was longer than the second; None
      where nothing is compiled.
    memory_bytes: the most that PyTorch held on a GPU, or None on a CPU.
  """

  def __init__(
    self, config: ModelConfig, batch: Batch, form: str, train: bool = True
  ):
    """Builds the model from random values and makes its first steps."""
    self._device, self._form = find_device(), form
    on_gpu = self._device == "cuda"
    if on_gpu:
      torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    attention = "matmul" if form == "eager" else "sdpa"
    model = Yardstick(config, attention).to(self._device).train(train)
    self.num_params = sum(p.numel() for p in model.parameters())
    self._inputs = to_inputs(batch, config.vision, self._device)
    self._rows = len(batch.input_ids)
    compiled = torch.compile(model) if form == "compiled" else model
    self._once = _update(model, compiled) if train else _predict(compiled)
    seconds = [self._timed() for _ in range(2 if form == "compiled" else 1)]
    self.compile_seconds = seconds[0] - seconds[1] if seconds[1:] else None
    self.memory_bytes = torch.cuda.max_memory_allocated() if on_gpu else None

  def step(self) -> torch.Tensor:
    """Makes one update, or prediction; returns the loss, or probabilities."""
    found = self._start()
    self._wait()
    return found

  def _timed(self) -> float:
    began = time.perf_counter()
    self.step()
    return time.perf_counter() - began

  def run(self, seconds: float) -> float:
    """Runs for at least so long; returns examples per second."""
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < seconds:
      self._start()
      self._wait()
      count += 1
    return count * self._rows / (time.perf_counter() - began)

  def _start(self) -> torch.Tensor:
    enabled = self._form == "compiled"
    with torch.autocast(self._device, torch.bfloat16, enabled=enabled):
      return self._once(self._inputs)

  def _wait(self) -> None:
    if self._device == "cuda":
      torch.cuda.synchronize()


def _update(model: Yardstick, forward: Callable) -> Callable:
  """Returns a function of inputs that updates the model; gives its loss."""
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
  """Returns a function of inputs that gives probabilities, float32[B, C]."""

  @torch.no_grad()
  def predict(inputs):
    return forward(inputs).float().softmax(dim=-1)

  return predict
