"""The parts of `torch_reference`: embeddings, attention, the two layers.

`weights` is the flat dict of `torch_reference` throughout, and the axis
letters are those of its docstring.
"""

import torch
from torch.nn import functional


def linear(weights, name, x):
  """Applies the affine map `name` to float[..., in]; weights are [out, in]."""
  return functional.linear(
    x, weights[f"{name}.weight"], weights[f"{name}.bias"]
  )


def norm(weights, name, x, eps):
  """Applies the LayerNorm `name` to float[..., D]."""
  scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
  return functional.layer_norm(x, scale.shape, scale, shift, eps)


def _split(x, num_heads):
  """Cuts float[B, S, D] to float[B, N, S, H], each head its own columns."""
  return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def scrambled(x, num_heads):
  """Reads the n x D block as [N, n, H] row by row, as the released code does.

  Returns the float[B, n, D] whose proper head split is that reading.
  """
  batch, length, width = x.shape
  read = x.reshape(batch, num_heads, length, width // num_heads)
  return read.transpose(1, 2).reshape(x.shape)


def attend(query, key, value, key_bias, num_heads):
  """Softmax attention; the querying stream's heads split all the keys.

  Args:
    query: float[B, Q, D].
    key: float[B, S, D].
    value: float[B, S, D].
    key_bias: float[B, S], added to the scaled logits of every query.
    num_heads: N.

  Returns:
    float[B, Q, D], and the weights' mean over heads, float[B, Q, S].
  """
  query, key, value = (_split(x, num_heads) for x in (query, key, value))
  logits = query @ key.mT / query.shape[-1] ** 0.5
  weights = torch.softmax(logits + key_bias[:, None, None, :], dim=-1)
  return (weights @ value).transpose(1, 2).flatten(2), weights.mean(1)


def embed_text(weights, inputs, geometry):
  """Returns float[B, T, D]: word + position + type, normalised."""
  stem = "model.text_embeddings"
  length = inputs["input_ids"].shape[1]
  summed = (
    weights[f"{stem}.word_embeddings.weight"][inputs["input_ids"]]
    + weights[f"{stem}.position_embeddings.weight"][:length]
    + weights[f"{stem}.token_type_embeddings.weight"][inputs["token_type_ids"]]
  )
  return norm(weights, f"{stem}.LayerNorm", summed, geometry.text_eps)


def _patches(weights, images):
  """Projects float[M, 3, h, w] to float[M, patches row by row, D]."""
  stem = "model.vision_embeddings.patch_embedding"
  kernel, bias = weights[f"{stem}.weight"], weights.get(f"{stem}.bias")
  stride = kernel.shape[-1]
  projected = functional.conv2d(images.to(kernel.dtype), kernel, bias, stride)
  return projected.flatten(2).mT


def _embed_crops(weights, crops, mask, kind):
  """Returns float[B, K patches, D] of crops float[B, K, 3, h, w], and mask."""
  table = weights[f"model.vision_embeddings.{kind}_position_embedding.weight"]
  projected = _patches(weights, crops.flatten(0, 1))
  tokens = projected.unflatten(0, mask.shape).flatten(1, 2)
  return tokens + table, mask.repeat_interleave(projected.shape[1], dim=1)


def embed_visual(weights, inputs, geometry, released, use_image, use_objects):
  """Returns visual tokens float[B, P, D], and bool[B, P] (True = real)."""
  stem = "model.vision_embeddings"
  batch = len(inputs["input_ids"])
  position = weights[f"{stem}.position_embedding.weight"]
  start = weights[f"{stem}.class_embedding"]
  if not released:
    start = start + position[0]
  tokens = [start.expand(batch, 1, -1)]
  masks = [torch.ones(batch, 1, dtype=torch.bool)]
  if use_image and not released:
    patches = _patches(weights, inputs["image"])
    tokens.append(patches + position[1:])
    masks.append(inputs["image_mask"][:, None].expand(patches.shape[:2]))
  if use_objects:
    for kind, mask in (("aux", "grounded_mask"), ("rcnn", "detected_mask")):
      embedded, real = _embed_crops(
        weights, inputs[f"{kind}_imgs"], inputs[mask], kind
      )
      tokens.append(embedded)
      masks.append(real)
  tokens = torch.cat(tokens, dim=1)
  if geometry.pre_norm:
    name, eps = "model.vision_pre_layrnorm", geometry.vision_eps
    tokens = norm(weights, name, tokens, eps)
  return tokens, torch.cat(masks, dim=1)


def finish_text(weights, i, hidden, attended, eps):
  """Adds attention and MLP to float[B, T, D], each normalised after."""
  layer = f"model.encoder.text_layer.{i}"
  stem = f"{layer}.attention.output"
  attended = linear(weights, f"{stem}.dense", attended)
  hidden = norm(weights, f"{stem}.LayerNorm", hidden + attended, eps)
  inner = functional.gelu(
    linear(weights, f"{layer}.intermediate.dense", hidden)
  )
  outer = linear(weights, f"{layer}.output.dense", inner)
  return norm(weights, f"{layer}.output.LayerNorm", hidden + outer, eps)


def finish_visual(weights, i, hidden, attended, geometry):
  """Adds attention, then the MLP of the normalised sum, to float[B, P, D]."""
  layer = f"model.encoder.vision_layers.{i}"
  hidden = hidden + linear(weights, f"{layer}.self_attn.out_proj", attended)
  name, eps = f"{layer}.layer_norm2", geometry.vision_eps
  inner = linear(weights, f"{layer}.mlp.fc1", norm(weights, name, hidden, eps))
  if geometry.vision_activation == "quick_gelu":
    inner = inner * torch.sigmoid(1.702 * inner)
  else:
    inner = functional.gelu(inner)
  return hidden + linear(weights, f"{layer}.mlp.fc2", inner)


def mask_bias(mask, masked, dtype):
  """Returns float[B, S]: 0 where bool[B, S] is True, `masked` elsewhere."""
  return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, masked)


def text_projections(weights, i, hidden):
  """Returns query, key and value of text layer `i`, float[B, T, D] each."""
  stem = f"model.encoder.text_layer.{i}.attention.self"
  names = ("query", "key", "value")
  return [linear(weights, f"{stem}.{name}", hidden) for name in names]


def visual_projections(weights, i, hidden, eps):
  """Returns query, key and value of vision layer `i`, float[B, P, D] each."""
  stem = f"model.encoder.vision_layers.{i}"
  normed = norm(weights, f"{stem}.layer_norm1", hidden, eps)
  names = [f"{stem}.self_attn.{part}_proj" for part in "qkv"]
  return [linear(weights, name, normed) for name in names]


def lend(text, visual, text_before, embedded, released, num_heads):
  """Returns the (key, value) that text reads, and those that vision reads.

  Args:
    text: key and value of this text layer, float[B, T, D] each.
    visual: key and value of this vision layer, float[B, P, D] each.
    text_before: key and value of the text layer before, None at layer 0.
    embedded: both streams' embeddings, float[B, T, D] and float[B, P, D].
    released: whether to lend as DeepKE's code does.
    num_heads: N of both streams; only read where `released`.
  """
  if not released:
    return visual, text
  if text_before is None:
    raw_text, raw_visual = (scrambled(x, num_heads) for x in embedded)
    return [raw_visual, raw_visual], [raw_text, raw_text]
  return [visual[0], visual[0]], text_before


def attend_both(query, own, lent, biases, num_heads):
  """Attends to the lent keys, then the own; `lent` None leaves them out."""
  if lent is None:
    return attend(query, *own, biases[1], num_heads)
  key, value = (torch.cat(pair, 1) for pair in zip(lent, own, strict=True))
  return attend(query, key, value, torch.cat(biases, 1), num_heads)


def key_biases(text_mask, visual_mask, released, dtype):
  """Returns the biases of logits, (lent, own) for text and for vision.

  Args:
    text_mask: bool[B, T] (True = real).
    visual_mask: bool[B, P] (True = real).
    released: padding gets -10000 and visual keys +1 in the text stream,
      nothing is masked in the vision stream; otherwise -inf in both.
    dtype: of the float[B, P] and float[B, T] returned.
  """
  if released:
    padding = mask_bias(text_mask, -10000.0, dtype)
    nothing = torch.zeros_like(visual_mask, dtype=dtype)
    return (nothing + 1, padding), (torch.zeros_like(padding), nothing)
  padding, absent = (
    mask_bias(mask, -torch.inf, dtype) for mask in (text_mask, visual_mask)
  )
  return (absent, padding), (padding, absent)
