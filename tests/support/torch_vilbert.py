"""ViLBERT written out in PyTorch, from the formulas, for tests to measure by.

Weights are a flat dict of tensors under the names of the released checkpoints:
1 is the picture, 2 the text, `c_layer` a connection. Axis letters are those of
`ifa_jax.models`. Nothing here drops out.
"""

import dataclasses

import torch
from torch.nn import functional
from torch_blocks import attend, linear, mask_bias, norm

EPSILON = 1e-12


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Sizes; all that could be confused differ from each other.

  Attributes:
    visual_at: the vision layers that follow a connection.
    text_at: likewise of the text, for each connection.
  """

  visual_at: tuple[int, ...] = (0, 1)
  text_at: tuple[int, ...] = (1, 2)
  vocab: int = 40
  max_len: int = 20
  text_dim: int = 24
  text_layers: int = 3
  text_heads: int = 4
  text_mlp: int = 40
  visual_dim: int = 30
  visual_layers: int = 2
  visual_heads: int = 3
  visual_mlp: int = 18
  dim: int = 20
  heads: int = 5
  feature_dim: int = 7
  num_regions: int = 4
  num_relations: int = 6


def make_weights(geometry, seed=0, dtype=torch.float32):
  """Returns random weights: norms near 1, all else near 0."""
  rng = torch.Generator().manual_seed(seed)
  return {
    name: (
      0.2 * torch.randn(shape, generator=rng)
      + float("LayerNorm" in name and name.endswith("weight"))
    ).to(dtype)
    for name, shape in shapes(geometry).items()
  }


def shapes(geometry):
  """Returns name -> shape as released, heads of pretraining included."""
  g, found = geometry, {}
  text, visual = (g.text_dim, g.text_mlp), (g.visual_dim, g.visual_mlp)

  def dense(name, rows, columns):
    found[f"{name}.weight"] = (rows, columns)
    found[f"{name}.bias"] = (rows,)

  def layer_norm(name, width):
    found.update({f"{name}.{part}": (width,) for part in ("weight", "bias")})

  def mlp(prefix, width, inner):
    dense(f"{prefix}intermediate.dense", inner, width)
    dense(f"{prefix}output.dense", width, inner)
    layer_norm(f"{prefix}output.LayerNorm", width)

  for table, rows in (("word", g.vocab), ("position", g.max_len)):
    found[f"bert.embeddings.{table}_embeddings.weight"] = (rows, g.text_dim)
  found["bert.embeddings.token_type_embeddings.weight"] = (2, g.text_dim)
  layer_norm("bert.embeddings.LayerNorm", g.text_dim)
  dense("bert.v_embeddings.image_embeddings", g.visual_dim, g.feature_dim)
  dense("bert.v_embeddings.image_location_embeddings", g.visual_dim, 5)
  layer_norm("bert.v_embeddings.LayerNorm", g.visual_dim)
  for kind, count, (width, inner) in (
    ("layer", g.text_layers, text),
    ("v_layer", g.visual_layers, visual),
  ):
    for i in range(count):
      stem = f"bert.encoder.{kind}.{i}"
      for part in ("query", "key", "value"):
        dense(f"{stem}.attention.self.{part}", width, width)
      dense(f"{stem}.attention.output.dense", width, width)
      layer_norm(f"{stem}.attention.output.LayerNorm", width)
      mlp(f"{stem}.", width, inner)
  for i in range(len(g.text_at)):
    stem = f"bert.encoder.c_layer.{i}"
    for number, letter, (width, inner) in ((1, "v", visual), (2, "t", text)):
      for part in ("query", "key", "value"):
        dense(f"{stem}.biattention.{part}{number}", g.dim, width)
      for unread in ("", "q_"):
        dense(f"{stem}.biOutput.{unread}dense{number}", width, g.dim)
      layer_norm(f"{stem}.biOutput.LayerNorm{number}", width)
      mlp(f"{stem}.{letter}_", width, inner)
  dense("bert.t_pooler.dense", g.dim, g.text_dim)
  dense("bert.v_pooler.dense", g.dim, g.visual_dim)
  dense("cls.predictions.transform.dense", g.text_dim, g.text_dim)
  found["cls.predictions.decoder.weight"] = (g.vocab, g.text_dim)
  dense("cls.bi_seq_relationship", 2, g.dim)
  dense("cls.imagePredictions.decoder", 11, g.visual_dim)
  return found


def make_head(geometry, pooling, seed=1):
  """Returns the weights of a relation head, `head.0` and `head.1`."""
  g = geometry
  width, inner = {
    "entity_start": (2 * g.text_dim, 2 * g.text_dim),
    "native_mul": (g.dim, 2 * g.dim),
  }[pooling]
  rng = torch.Generator().manual_seed(seed)
  draw = lambda *shape: 0.2 * torch.randn(shape, generator=rng)  # noqa: E731
  return {
    "head.0.weight": draw(inner, width),
    "head.0.bias": draw(inner),
    "head.1.weight": draw(g.num_relations, inner),
    "head.1.bias": draw(g.num_relations),
  }


def make_inputs(geometry, rows=5, text_len=9, seed=2):
  """Returns a batch; of regions, rows have all, none, all but the first, one.

  Absent regions hold numbers as large as the others'.
  """
  g, rng = geometry, torch.Generator().manual_seed(seed)
  draw = lambda high, *shape: torch.randint(  # noqa: E731
    0, high, shape, generator=rng
  )
  length = torch.tensor([text_len, 4, 6, 7, 5])[:rows]
  present = torch.rand(rows, g.num_regions, generator=rng) < 0.6
  present[:4] = torch.tensor([[True], [False], [True], [False]])
  present[2, 0], present[3, 1] = False, True
  return {
    "input_ids": draw(g.vocab, rows, text_len),
    "token_type_ids": draw(2, rows, text_len),
    "attention_mask": torch.arange(text_len) < length[:, None],
    "head_start": draw(4, rows),
    "tail_start": draw(4, rows),
    "regions": torch.randn(rows, g.num_regions, g.feature_dim, generator=rng),
    "region_boxes": torch.rand(rows, g.num_regions, 5, generator=rng),
    "region_mask": present,
    "labels": draw(g.num_relations, rows),
  }


def forward(weights, inputs, geometry, pooling):
  """Returns logits and hidden states.

  Returns:
    logits float[B, C]; lists text_hidden of float[B, T, D], visual_hidden of
    float[B, 1+M, D] and co_attention of float[B, T, 1+M], in order.
  """
  g = geometry
  text = [_embed_text(weights, inputs)]
  embedded, present = _embed_regions(weights, inputs)
  visual, shares = [embedded], []
  dtype = embedded.dtype
  text_bias = mask_bias(inputs["attention_mask"], -torch.inf, dtype)
  visual_bias = mask_bias(present, -torch.inf, dtype)

  def run_text(layers):
    for i in layers:
      stem = f"bert.encoder.layer.{i}"
      text.append(_layer(weights, stem, text[-1], text_bias, g.text_heads))

  def run_visual(layers):
    for i in layers:
      stem = f"bert.encoder.v_layer.{i}"
      hidden = _layer(weights, stem, visual[-1], visual_bias, g.visual_heads)
      visual.append(hidden)

  done_visual = done_text = 0
  for i, places in enumerate(zip(g.visual_at, g.text_at, strict=True)):
    run_visual(range(done_visual, places[0]))
    run_text(range(done_text, places[1]))
    done_visual, done_text = places
    connected = _connect(
      weights, i, (visual[-1], text[-1]), (visual_bias, text_bias), g.heads
    )
    visual.append(connected[0])
    text.append(connected[1])
    shares.append(connected[2])
  run_visual(range(done_visual, g.visual_layers))
  run_text(range(done_text, g.text_layers))
  return {
    "logits": _classify(weights, inputs, text[-1], visual[-1], pooling),
    "text_hidden": text,
    "visual_hidden": visual,
    "co_attention": shares,
  }


def _embed_text(weights, inputs):
  stem = "bert.embeddings"
  ids, types = inputs["input_ids"], inputs["token_type_ids"]
  summed = (
    weights[f"{stem}.word_embeddings.weight"][ids]
    + weights[f"{stem}.position_embeddings.weight"][: ids.shape[1]]
    + weights[f"{stem}.token_type_embeddings.weight"][types]
  )
  return norm(weights, f"{stem}.LayerNorm", summed, EPSILON)


def _embed_regions(weights, inputs):
  """Returns float[B, 1+M, D] and bool[B, 1+M], picture by picture."""
  stem = "bert.v_embeddings"
  dtype = weights[f"{stem}.LayerNorm.weight"].dtype
  features, boxes = [], []
  for region, box, mask in zip(
    inputs["regions"].to(dtype),
    inputs["region_boxes"].to(dtype),
    inputs["region_mask"],
    strict=True,
  ):
    there = region[mask]
    mean = there.mean(0) if len(there) else torch.zeros_like(region[0])
    features.append(torch.cat([mean[None], region]))
    boxes.append(torch.cat([torch.tensor([[0, 0, 1, 1, 1]], dtype=dtype), box]))
  summed = linear(
    weights, f"{stem}.image_embeddings", torch.stack(features)
  ) + linear(weights, f"{stem}.image_location_embeddings", torch.stack(boxes))
  always = torch.ones_like(inputs["region_mask"][:, :1])
  return norm(weights, f"{stem}.LayerNorm", summed, EPSILON), torch.cat(
    [always, inputs["region_mask"]], dim=1
  )


def _mlp(weights, prefix, hidden):
  inner = linear(weights, f"{prefix}intermediate.dense", hidden)
  outer = linear(weights, f"{prefix}output.dense", functional.gelu(inner))
  return norm(weights, f"{prefix}output.LayerNorm", hidden + outer, EPSILON)


def _layer(weights, stem, hidden, bias, num_heads):
  """Applies a layer of BERT to float[B, S, D]."""
  projected = [
    linear(weights, f"{stem}.attention.self.{part}", hidden)
    for part in ("query", "key", "value")
  ]
  attended, _ = attend(*projected, bias, num_heads)
  attended = linear(weights, f"{stem}.attention.output.dense", attended)
  name = f"{stem}.attention.output.LayerNorm"
  hidden = norm(weights, name, hidden + attended, EPSILON)
  return _mlp(weights, f"{stem}.", hidden)


def _connect(weights, i, streams, biases, num_heads):
  """Applies connection `i` to (visual, text) streams, with biases likewise.

  Returns both streams, and text's attention to visual keys.
  """
  stem = f"bert.encoder.c_layer.{i}"
  query, key, value = (
    [
      linear(weights, f"{stem}.biattention.{part}{number}", hidden)
      for number, hidden in zip((1, 2), streams, strict=True)
    ]
    for part in ("query", "key", "value")
  )
  connected = []
  for own, letter in ((0, "v"), (1, "t")):
    other = 1 - own
    attended, shares = attend(
      query[own], key[other], value[other], biases[other], num_heads
    )
    attended = linear(weights, f"{stem}.biOutput.dense{own + 1}", attended)
    name = f"{stem}.biOutput.LayerNorm{own + 1}"
    hidden = norm(weights, name, streams[own] + attended, EPSILON)
    connected.append(_mlp(weights, f"{stem}.{letter}_", hidden))
  return *connected, shares


def _classify(weights, inputs, text, visual, pooling):
  if pooling == "entity_start":
    rows = zip(text, inputs["head_start"], inputs["tail_start"], strict=True)
    pooled = torch.stack([torch.cat([x[h], x[t]]) for x, h, t in rows])
    return linear(weights, "head.1", linear(weights, "head.0", pooled))
  poolers = [
    torch.relu(linear(weights, f"bert.{letter}_pooler.dense", hidden[:, 0]))
    for letter, hidden in (("t", text), ("v", visual))
  ]
  hidden = torch.relu(linear(weights, "head.0", poolers[0] * poolers[1]))
  return linear(weights, "head.1", hidden)
