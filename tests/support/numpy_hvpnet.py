"""HVPNeT after its ResNet in plain numpy, float64, by the released names.

Written from the equations, for comparison. The released code hard-codes 12
heads of 64; here heads and width are arguments.
"""

import numpy as np
from numpy_successors import (
  at_markers,
  attention,
  embed_text,
  gelu,
  heads,
  layer_norm,
  linear,
  padding_bias,
  softmax,
)


def leaky(x):
  return np.where(x > 0, x, 0.01 * x)


def released_prefix(w, maps, width, num_heads, num_layers):
  """Returns keys and values [B, N, 4M, H] of each layer.

  Args:
    w: weights.
    maps: [B, M, channels, 2, 2].
    width: D.
    num_heads: N.
    num_layers: of BERT.
  """
  rows, count = maps.shape[:2]
  levels, summaries = [], []
  for m in range(count):
    # Read row by row as four tokens, without a transpose.
    x = maps[:, m].reshape(rows, 4, -1)
    x = linear(w, "encoder_conv.2", np.tanh(linear(w, "encoder_conv.0", x)))
    x = x.reshape(rows, 4, 4, 2 * width).transpose(2, 0, 1, 3)
    levels.append(x)
    summaries.append(x.mean(0).reshape(rows, -1))
  prefixes = []
  for layer in range(num_layers):
    mixed = []
    for x, summary in zip(levels, summaries, strict=True):
      shares = softmax(leaky(linear(w, f"gates.{layer}", summary)))
      mixed.append(np.einsum("bi,ibtd->btd", shares, x))
    both = np.concatenate(mixed, 1)
    cut = lambda x: np.ascontiguousarray(x).reshape(  # noqa: E731
      rows, num_heads, -1, width // num_heads
    )
    prefixes.append((cut(both[..., :width]), cut(both[..., width:])))
  return prefixes


def prefix(w, maps, stages, num_heads, num_layers):
  """Returns the same by the equations: a level for each stage."""
  rows, count = maps.shape[:2]
  places = maps.reshape(rows, count, -1, 4).transpose(0, 1, 3, 2)
  cuts = np.cumsum(stages)[:-1]
  levels = [
    linear(w, f"stages.{i}", part)
    for i, part in enumerate(np.split(places, cuts, axis=-1))
  ]
  # 1/c sum_i GAP(V_i)
  summary = sum(level.mean(2) for level in levels) / len(levels)
  prefixes = []
  for layer in range(num_layers):
    shares = softmax(leaky(linear(w, f"gates.{layer}", summary)))
    mixed = sum(
      shares[..., i, None, None] * level for i, level in enumerate(levels)
    )
    mixed = mixed.reshape(rows, count * 4, -1)
    keys, values = np.split(linear(w, f"prefix.{layer}", mixed), 2, axis=-1)
    prefixes.append((heads(keys, num_heads), heads(values, num_heads)))
  return prefixes


def hvpnet(w, text, prefixes, prefix_bias, *, num_heads, pad):
  """Returns (logits, the text's states after each layer).

  Args:
    w: weights.
    text: (ids, mask, head, tail).
    prefixes: keys and values of each layer.
    prefix_bias: [B, 4M].
    num_heads: N.
    pad: bias of padding.
  """
  ids, mask, head, tail = text
  t, states = embed_text(w, ids), []
  bias = np.concatenate(
    [prefix_bias[:, None, None], padding_bias(mask, pad)], -1
  )
  for layer, (keys, values) in enumerate(prefixes):
    name = f"model.encoder.text_layer.{layer}."
    part = lambda kind, x=t, name=name: heads(  # noqa: E731
      linear(w, f"{name}attention.self.{kind}", x), num_heads
    )
    context = attention(
      part("query"),
      np.concatenate([keys, part("key")], 2),
      np.concatenate([values, part("value")], 2),
      bias,
    )
    out = linear(w, name + "attention.output.dense", context) + t
    hidden = layer_norm(w, name + "attention.output.LayerNorm", out, 1e-12)
    inner = gelu(linear(w, name + "intermediate.dense", hidden))
    out = linear(w, name + "output.dense", inner) + hidden
    t = layer_norm(w, name + "output.LayerNorm", out, 1e-12)
    states.append(t)
  return linear(w, "classifier", at_markers(t, head, tail)), states
