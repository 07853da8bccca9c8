"""Tiny ResNets of transformers, whose norms are no identity."""

import os

import torch
import transformers


def make(widths, depths=(2, 1, 2, 1)):
  """Returns a ResNet of bottleneck blocks with perturbed weights."""
  torch.manual_seed(0)
  config = transformers.ResNetConfig(
    layer_type="bottleneck",
    depths=[*depths],
    embedding_size=8,
    hidden_sizes=[*widths],
  )
  model = transformers.ResNetModel(config).eval()
  with torch.no_grad():
    for name, array in (*model.named_parameters(), *model.named_buffers()):
      if "running_var" in name:
        array.uniform_(0.5, 1.5)
      elif array.dtype.is_floating_point:
        array.add_(0.1 * torch.randn_like(array))
  return model


def write(folder, widths=(8, 8, 16, 16)):
  """Writes a ResNet and returns its path."""
  make(widths).save_pretrained(folder)
  return os.fspath(folder)


def arrays_of(model):
  """Returns name -> array, by transformers' names."""
  return {name: x.numpy() for name, x in model.state_dict().items()}


def as_torchvision(name):
  """Returns torchvision's name of an array of transformers'."""
  parts = name.removeprefix("resnet.").split(".")
  kinds = {"convolution": "conv", "normalization": "bn"}
  if parts[0] == "embedder":
    return ".".join([f"{kinds[parts[2]]}1", parts[3]])
  stage, block, rest = int(parts[2]) + 1, parts[4], parts[5:]
  if rest[0] == "shortcut":
    part = f"downsample.{[*kinds].index(rest[1])}"
  else:
    part = f"{kinds[rest[2]]}{int(rest[1]) + 1}"
  return f"layer{stage}.{block}.{part}.{rest[-1]}"
