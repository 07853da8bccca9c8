"""The systems that read captions in plain numpy, float64.

Written from the equations, for comparison; parameters are the models' own.
"""

import numpy as np
from numpy_successors import attention, gelu, heads


def linear(w, x):
  return x @ w["kernel"].astype(np.float64) + w["bias"]


def norm(w, x):
  mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
  return (x - mean) / np.sqrt(variance + 1e-12) * w["scale"] + w["bias"]


def embed(w, ids, types):
  w = w["embed"]
  table = {k: w[k]["embedding"] for k in ("word", "position", "token_type")}
  x = table["word"][ids].astype(np.float64) + table["token_type"][types]
  return norm(w["norm"], x + table["position"][: ids.shape[1]])


def project(w, x, num_heads):
  w = w["attention"]
  parts = (linear(w[k], x) for k in ("query", "key", "value"))
  return [heads(part, num_heads) for part in parts]


def update(w, x, attended):
  x = norm(w["attention_norm"], x + linear(w["attention"]["out"], attended))
  return norm(
    w["mlp_norm"], x + linear(w["mlp_out"], gelu(linear(w["mlp_in"], x)))
  )


def bias(mask):
  return np.where(mask, 0.0, -np.inf)[:, None, None]


def streams(config, params, batch):
  """Returns the logits, and both streams' states after each layer."""
  num_heads = config.text.num_heads
  types = np.zeros_like(batch.caption_ids)
  text = embed(params["text"], batch.input_ids, batch.token_type_ids)
  caption = embed(params["caption"], batch.caption_ids, types)
  # A caption stream that reads nothing reads its padding, which none reads.
  seen = batch.caption_mask
  alone = bias(seen | ~seen.any(1, keepdims=True))
  real, states = bias(batch.attention_mask), [(text, caption)]
  for i in range(config.text.num_layers):
    own, other = params["text"][f"layer_{i}"], params["caption"][f"layer_{i}"]
    q, k, v = project(own, text, num_heads)
    query, key, value = project(other, caption, num_heads)
    both = [np.concatenate(x, 2) for x in ((key, k), (value, v))]
    read = attention(q, *both, np.concatenate([bias(seen), real], -1))
    if config.text_attention:
      both = [np.concatenate(x, 2) for x in ((k, key), (v, value))]
      looked = attention(query, *both, np.concatenate([real, bias(seen)], -1))
    else:
      looked = attention(query, key, value, alone)
    text, caption = update(own, text, read), update(other, caption, looked)
    states.append((text, caption))
  rows = np.arange(len(text))
  pair = [text[rows, x] for x in (batch.head_start, batch.tail_start)]
  return linear(params["relation_head"], np.concatenate(pair, -1)), states


def segment(config, params, batch):
  """Returns the logits of BERT on texts that continue with their captions."""
  num_heads = config.text.num_heads
  text = embed(params["text"], batch.input_ids, batch.token_type_ids)
  for i in range(config.text.num_layers):
    w = params["text"][f"layer_{i}"]
    read = attention(*project(w, text, num_heads), bias(batch.attention_mask))
    text = update(w, text, read)
  rows = np.arange(len(text))
  pair = [text[rows, x] for x in (batch.head_start, batch.tail_start)]
  hidden = linear(params["relation_head"]["hidden"], np.concatenate(pair, -1))
  return linear(params["relation_head"]["out"], hidden)
