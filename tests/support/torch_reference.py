"""IFAformer in plain PyTorch: the yardstick of the parity tests.

One function a formula (`torch_blocks`), nothing fused, nothing shared with
`ifa_jax`. Weights are a flat dict under the names of DeepKE's `best_model.pth`,
so that a model file, random numbers and a converted tree are all the same to
it. Arithmetic is in the weights' own dtype; evaluation mode, no dropout.

Axis letters: B batch, T text tokens, P visual tokens, Q queries, S keys, N
heads, H head width, D stream width, K crops of one kind, C relations.
"""

import dataclasses

import torch
import torch_blocks as blocks
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Sizes of both streams; pixels for `patch` and `size`."""

  layers: int
  text_heads: int
  vision_heads: int
  patch: int
  size: int
  num_crops: int = 3
  text_eps: float = 1e-12
  vision_eps: float = 1e-5
  vision_activation: str = "quick_gelu"
  pre_norm: bool = True
  patch_bias: bool = False
  max_len: int = 40
  vocab: int = 128
  hidden: int = 48
  mlp: int = 96
  num_relations: int = 23

  def __post_init__(self):
    for heads in (self.text_heads, self.vision_heads):
      if self.hidden % heads:
        raise ValueError(f"{heads} heads do not divide width {self.hidden}")
    if self.vision_activation not in ("quick_gelu", "gelu"):
      raise ValueError(f"unknown activation {self.vision_activation!r}")


@dataclasses.dataclass
class Output:
  """Results of `forward`; all but the logits only with `capture`.

  Attributes:
    logits: float[B, C].
    text_hidden: float[layers + 1, B, T, D], the input of the first layer and
      the output of every layer.
    text_attention: float[layers, B, T, P+T], mean over heads, visual keys
      first; [layers, B, T, T] without a visual stream.
    visual_hidden: float[layers + 1, B, P, D], or None.
    visual_attention: float[layers, B, P, T+P], text keys first; [..., P]
      where vision does not attend to text. None without a visual stream.
  """

  logits: torch.Tensor
  text_hidden: torch.Tensor | None = None
  text_attention: torch.Tensor | None = None
  visual_hidden: torch.Tensor | None = None
  visual_attention: torch.Tensor | None = None


def weight_shapes(geometry):
  """Returns name -> shape of every parameter, linear weights as [out, in]."""
  g, d = geometry, geometry.hidden
  patches = (g.size // g.patch) ** 2
  shapes = {}

  def linear(name, out_dim, in_dim):
    shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (
      (out_dim, in_dim),
      (out_dim,),
    )

  def norm(name):
    shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (d,)

  visual, text = "model.vision_embeddings", "model.text_embeddings"
  shapes[f"{visual}.class_embedding"] = (d,)
  shapes[f"{visual}.patch_embedding.weight"] = (d, 3, g.patch, g.patch)
  if g.patch_bias:
    shapes[f"{visual}.patch_embedding.bias"] = (d,)
  shapes[f"{visual}.position_embedding.weight"] = (1 + patches, d)
  shapes[f"{visual}.aux_position_embedding.weight"] = (16 * g.num_crops, d)
  shapes[f"{visual}.rcnn_position_embedding.weight"] = (4 * g.num_crops, d)
  if g.pre_norm:
    norm("model.vision_pre_layrnorm")
  norm("model.vision_post_layernorm")
  shapes[f"{text}.word_embeddings.weight"] = (g.vocab, d)
  shapes[f"{text}.position_embeddings.weight"] = (g.max_len, d)
  shapes[f"{text}.token_type_embeddings.weight"] = (2, d)
  norm(f"{text}.LayerNorm")
  linear("model.text_pooler.dense", d, d)
  for i in range(g.layers):
    layer = f"model.encoder.vision_layers.{i}"
    for part in "qkv":
      linear(f"{layer}.self_attn.{part}_proj", d, d)
    linear(f"{layer}.self_attn.out_proj", d, d)
    norm(f"{layer}.layer_norm1")
    linear(f"{layer}.mlp.fc1", g.mlp, d)
    linear(f"{layer}.mlp.fc2", d, g.mlp)
    norm(f"{layer}.layer_norm2")
    layer = f"model.encoder.text_layer.{i}"
    for part in ("query", "key", "value"):
      linear(f"{layer}.attention.self.{part}", d, d)
    linear(f"{layer}.attention.output.dense", d, d)
    norm(f"{layer}.attention.output.LayerNorm")
    linear(f"{layer}.intermediate.dense", g.mlp, d)
    linear(f"{layer}.output.dense", d, g.mlp)
    norm(f"{layer}.output.LayerNorm")
  linear("classifier", g.num_relations, 2 * d)
  return shapes


def random_weights(geometry, seed, std=0.15, dtype=torch.float64):
  """Draws every weight from N(0, std), norm scales from N(1, std).

  Biases and norms are drawn too: with zeros and ones, two norms that are
  swapped or a bias that is dropped would go unseen.
  """
  rng = torch.Generator().manual_seed(seed)
  weights = {}
  for name, shape in weight_shapes(geometry).items():
    drawn = std * torch.randn(shape, generator=rng, dtype=torch.float64)
    is_scale = name.endswith(".weight") and len(shape) == 1
    weights[name] = (drawn + is_scale).to(dtype)
  return weights


def _encode(weights, g, text, visual, biases, released, text_attention):
  """Runs both streams through all layers; `visual` None leaves one out.

  Returns:
    Four lists: text hidden states and attention, visual hidden states and
    attention, as in `Output`.
  """
  text_biases, visual_biases = biases
  embedded, text_before, to_text = (text, visual), None, None
  texts, text_maps, visuals, visual_maps = [text], [], [visual], []
  for i in range(g.layers):
    query, *own = blocks.text_projections(weights, i, text)
    if visual is not None:
      visual_query, *visual_own = blocks.visual_projections(
        weights, i, visual, g.vision_eps
      )
      to_text, to_visual = blocks.lend(
        own, visual_own, text_before, embedded, released, g.vision_heads
      )
      attended, seen = blocks.attend_both(
        visual_query,
        visual_own,
        to_visual if text_attention else None,
        visual_biases,
        g.vision_heads,
      )
      visual = blocks.finish_visual(weights, i, visual, attended, g)
      visuals.append(visual)
      visual_maps.append(seen)
    attended, seen = blocks.attend_both(
      query, own, to_text, text_biases, g.text_heads
    )
    text = blocks.finish_text(weights, i, text, attended, g.text_eps)
    texts.append(text)
    text_maps.append(seen)
    text_before = own
  return texts, text_maps, visuals, visual_maps


def _classify(weights, inputs, text):
  """Returns logits float[B, C] of both opening markers' float[B, T, D]."""
  rows = torch.arange(len(text))
  head, tail = (
    text[rows, inputs["head_start"]],
    text[rows, inputs["tail_start"]],
  )
  return blocks.linear(weights, "classifier", torch.cat([head, tail], dim=1))


def forward(
  weights,
  inputs,
  geometry,
  fusion="paper",
  use_image=True,
  use_objects=True,
  text_attention=True,
  vision=True,
  capture=False,
):
  """Computes relation logits; differentiable in every weight.

  Args:
    weights: name -> float tensor, as `weight_shapes` lists them.
    inputs: `input_ids`, `attention_mask`, `token_type_ids`, int[B, T];
      `head_start`, `tail_start`, int[B]; normalised pixels `image`
      float[B, 3, size, size], `aux_imgs` (grounded crops)
      float[B, K, 3, 4 patch, 4 patch] and `rcnn_imgs` (detected crops)
      float[B, K, 3, 2 patch, 2 patch]; `image_mask` bool[B],
      `grounded_mask` and `detected_mask` bool[B, K] (True = real).
    geometry: sizes of both streams.
    fusion: "paper" or "released". The latter never reads `image`, and takes
      the pixels of absent crops as they come: DeepKE fills them with zeros.
    use_image: whether the global image is among the visual tokens.
    use_objects: whether the crops are.
    text_attention: whether vision attends to text.
    vision: whether there is a visual stream at all.
    capture: whether to return hidden states and attention too.

  Returns:
    An `Output`.
  """
  if fusion not in ("paper", "released"):
    raise ValueError(f"fusion is 'paper' or 'released', got {fusion!r}")
  if fusion == "released" and geometry.text_heads != geometry.vision_heads:
    raise ValueError("the released fusion needs equally many heads")
  released = fusion == "released"
  text_mask = inputs["attention_mask"].bool()
  text, visual = blocks.embed_text(weights, inputs, geometry), None
  visual_mask = text_mask[:, :0]
  if vision:
    visual, visual_mask = blocks.embed_visual(
      weights, inputs, geometry, released, use_image, use_objects
    )
  biases = blocks.key_biases(text_mask, visual_mask, released, text.dtype)
  traces = _encode(
    weights, geometry, text, visual, biases, released, text_attention
  )
  output = Output(_classify(weights, inputs, traces[0][-1]))
  if capture:
    output.text_hidden, output.text_attention = map(torch.stack, traces[:2])
  if capture and vision:
    output.visual_hidden, output.visual_attention = map(torch.stack, traces[2:])
  return output


def loss(weights, inputs, geometry, **options):
  """Returns mean cross entropy against `labels` int[B]; see `forward`."""
  logits = forward(weights, inputs, geometry, **options).logits
  return functional.cross_entropy(logits, inputs["labels"])


def gradients(weights, inputs, geometry, **options):
  """Returns the loss, and name -> its gradient, None where it is not read."""
  leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
  value = loss(leaves, inputs, geometry, **options)
  grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
  return value.detach(), dict(zip(leaves, grads, strict=True))
