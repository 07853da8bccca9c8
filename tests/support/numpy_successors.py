"""MKGformer and HVFormer in plain numpy, float64, by the released names.

Written from the equations, for comparison. `w` maps the names of a released
checkpoint to arrays; PyTorch's linear weights are [out, in].
"""

import numpy as np
from scipy.special import erf


def gelu(x):
  return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def quick_gelu(x):
  return x / (1 + np.exp(-1.702 * x))


def softmax(x):
  shares = np.exp(x - x.max(-1, keepdims=True))
  return shares / shares.sum(-1, keepdims=True)


def layer_norm(w, name, x, epsilon):
  mean = x.mean(-1, keepdims=True)
  variance = ((x - mean) ** 2).mean(-1, keepdims=True)
  scaled = (x - mean) / np.sqrt(variance + epsilon)
  return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w, name, x):
  return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def heads(x, count):
  rows, length, width = x.shape
  return x.reshape(rows, length, count, width // count).transpose(0, 2, 1, 3)


def joined(x):
  rows, count, length, width = x.shape
  return x.transpose(0, 2, 1, 3).reshape(rows, length, count * width)


def attention(query, keys, values, bias=0.0):
  """Attends by [B, N, Q, H] queries to [B, N, S, H] keys; joins the heads."""
  scores = query @ keys.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
  return joined(softmax(scores + bias) @ values)


def embed_text(w, ids):
  name = "model.text_embeddings."
  x = w[name + "word_embeddings.weight"][ids]
  x = x + w[name + "token_type_embeddings.weight"][0]
  x = x + w[name + "position_embeddings.weight"][: ids.shape[1]]
  return layer_norm(w, name + "LayerNorm", x, 1e-12)


def patches(w, pixels, side):
  """Embeds [B, K, size, size, 3] normalised pixels, row by row."""
  rows, count, size = pixels.shape[:3]
  n = size // side
  x = pixels.reshape(rows, count, n, side, n, side, 3)
  # PyTorch's convolution reads channel, row, column.
  x = x.transpose(0, 1, 2, 4, 6, 3, 5).reshape(rows, count * n * n, -1)
  kernel = w["model.vision_embeddings.patch_embedding.weight"]
  return x @ kernel.reshape(len(kernel), -1).T


def embed_vision(w, grounded, detected, side, image=None, class_position=False):
  """Returns the visual tokens after the first norm, [B, P, D]."""
  name = "model.vision_embeddings."
  table = w[name + "position_embedding.weight"]
  first = w[name + "class_embedding"] + (table[0] if class_position else 0)
  parts = [np.broadcast_to(first, (len(grounded), 1, len(first)))]
  if image is not None:
    parts.append(patches(w, image[:, None], side) + table[1:])
  for pixels, kind in ((grounded, "aux"), (detected, "rcnn")):
    positions = w[name + f"{kind}_position_embedding.weight"]
    parts.append(patches(w, pixels, side) + positions)
  tokens = np.concatenate(parts, 1)
  return layer_norm(w, "model.vision_pre_layrnorm", tokens, 1e-5)


class Vision:
  """A layer of ViT."""

  def __init__(self, w, number, num_heads):
    self._w, self._heads = w, num_heads
    self._name = f"model.encoder.vision_layers.{number}."

  def attend(self, v, lent=None, bias=0.0):
    """Returns v after attention, to `lent` (keys, values) and to itself."""
    x = layer_norm(self._w, self._name + "layer_norm1", v, 1e-5)
    project = lambda part: heads(  # noqa: E731
      linear(self._w, f"{self._name}self_attn.{part}_proj", x), self._heads
    )
    keys, values = project("k"), project("v")
    if lent is not None:
      keys = np.concatenate([lent[0], keys], 2)
      values = np.concatenate([lent[1], values], 2)
    mixed = attention(project("q"), keys, values, bias)
    return v + linear(self._w, self._name + "self_attn.out_proj", mixed)

  def mlp(self, v):
    x = layer_norm(self._w, self._name + "layer_norm2", v, 1e-5)
    inner = quick_gelu(linear(self._w, self._name + "mlp.fc1", x))
    return v + linear(self._w, self._name + "mlp.fc2", inner)


class Text:
  """A layer of BERT."""

  def __init__(self, w, number, num_heads):
    self._w, self._heads = w, num_heads
    self._name = f"model.encoder.text_layer.{number}."

  def project(self, t, part):
    name = f"{self._name}attention.self.{part}"
    return heads(linear(self._w, name, t), self._heads)

  def lend(self, t):
    return self.project(t, "key"), self.project(t, "value")

  def attend(self, t, bias):
    """Returns attention's outcome before its projection, and after a norm."""
    context = attention(self.project(t, "query"), *self.lend(t), bias)
    name = self._name + "attention.output."
    out = linear(self._w, name + "dense", context) + t
    return context, layer_norm(self._w, name + "LayerNorm", out, 1e-12)

  def mlp(self, hidden, mixed=None):
    inner = linear(self._w, self._name + "intermediate.dense", hidden)
    if mixed is not None:
      name = self._name + "intermediate.fusion_dense"
      inner = inner + linear(self._w, name, mixed)
    out = linear(self._w, self._name + "output.dense", gelu(inner))
    name = self._name + "output.LayerNorm"
    return layer_norm(self._w, name, out + hidden, 1e-12)


def padding_bias(mask, value):
  return np.where(mask, 0.0, value)[:, None, None, :]


def at_markers(hidden, head, tail):
  rows = np.arange(len(hidden))
  return np.concatenate([hidden[rows, head], hidden[rows, tail]], -1)


def mkgformer(w, text, visual, visual_mask, *, num_heads, fused, released):
  """Returns (logits, states of both streams after each layer).

  Args:
    w: weights.
    text: (ids, mask, head, tail).
    visual: [B, P, D], after the first norm.
    visual_mask: bool[B, P].
    num_heads: of both streams.
    fused: number of layers that fuse.
    released: whether as the released code or by the equations.
  """
  ids, mask, head, tail = text
  t, v, earlier, states = embed_text(w, ids), visual, None, []
  num_layers = sum("attention.self.query.weight" in name for name in w)
  pad = padding_bias(mask, -10000.0 if released else -1e30)
  absent = 0.0 if released else padding_bias(visual_mask, -1e30)
  for number in range(num_layers):
    see, read = Vision(w, number, num_heads), Text(w, number, num_heads)
    fuses = number >= num_layers - fused
    lent, bias = None, absent
    if fuses:
      lent = earlier if released else read.lend(t)
      if not released:
        bias = np.concatenate([pad, absent], -1)
    earlier = read.lend(t)
    attended = see.attend(v, lent, bias)
    v = see.mlp(attended)
    context, hidden = read.attend(t, pad)
    mixed = None
    if fuses:
      x = context if released else hidden
      seen = v if released else attended
      blank = 0.0 if released else padding_bias(visual_mask, -1e30)[:, 0]
      mixed = softmax(x @ seen.swapaxes(-1, -2) + blank) @ seen
    t = read.mlp(hidden, mixed)
    states.append((t, v))
  return linear(w, "classifier", at_markers(t, head, tail)), states


def hvformer(w, text, visual, *, num_heads):
  """Returns (logits, the aggregated text states)."""
  ids, mask, head, tail = text
  t, v, states = embed_text(w, ids), visual, [visual]
  num_layers = sum("attention.self.query.weight" in name for name in w)
  pad = padding_bias(mask, -10000.0)
  for number in range(num_layers):
    see, read = Vision(w, number, num_heads), Text(w, number, num_heads)
    v = see.mlp(see.attend(v))
    states.append(v)
    t = read.mlp(read.attend(t, pad)[1])
  looks = []
  for depth in (0, num_layers // 2, num_layers):
    name = f"model.encoder.vision2text_layer_agg.cross_modal_att_layer.{depth}."
    part = lambda kind, x, name=name: heads(  # noqa: E731
      linear(w, f"{name}self_attn.{kind}_proj", x), num_heads
    )
    seen = states[depth]
    mixed = attention(
      part("text_q", t), part("vision_k", seen), part("vision_v", seen)
    )
    y = linear(w, name + "self_attn.out_proj", mixed)
    looks.append(layer_norm(w, name + "layer_norm1", y, 1e-5))
  name = "model.encoder.vision2text_layer_agg.moe_layer_wise_agg."
  both = np.concatenate([t, *looks], -1)
  shares = softmax(linear(w, name + "expert_router", both))
  out = shares[..., :1] * t
  for i, y in enumerate(looks):
    inner = gelu(np.concatenate([t, y], -1) @ w[name + "experts1"][i])
    expert = inner @ w[name + "experts2"][i] + t
    out = out + shares[..., i + 1, None] * expert
  pair = at_markers(out, head, tail)
  return linear(w, "re_classifier.classifier", pair), out
