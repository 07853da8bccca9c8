"""BERT+SG, BERT+SG+Att. and MEGA: tiny cases, and their formulas in PyTorch.

The formulas compute one row at a time. Nothing is masked: absent tokens and
objects are removed first. `w` is name -> tensor under the model's own paths,
kernels [in, out]; H are the text's states, float[n, D], f the objects,
float[m, Dv], alpha float[n, m], and `starts` the positions of both opening
markers. Every formula returns the input of the relation head, and beta,
float[m, n], or None.
"""

from typing import NamedTuple

import jax
import numpy as np
import tiny
import torch

from ifa_jax.models import replace
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.mega import MEGAConfig


def linear(w, name, x):
  return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def _softmax_rows(query, key):
  """Returns float[m, n]: softmax(QK' / sqrt(width)), an exp at a time."""
  rows = []
  for q in query:
    scores = torch.stack([(q * k).sum() for k in key]) / len(q) ** 0.5
    rows.append(scores.exp() / scores.exp().sum())
  return torch.stack(rows) if rows else key.new_zeros(0, len(key))


def _lifted_attention(w, H, f):
  """Returns beta, float[m, n], and the objects' mixtures, float[m, E]."""
  G, P = linear(w, "fusion/text", H), linear(w, "fusion/regions", f)
  beta = _softmax_rows(linear(w, "fusion/query", P), linear(w, "fusion/key", G))
  return beta, beta @ linear(w, "fusion/value", G)


def bert_sg(w, H, f, alpha, starts):
  y = sum(
    (linear(w, "fusion/regions", one) for one in f),
    start=H.new_zeros(2 * H.shape[1]),
  )
  return torch.cat([*H[starts], y]), None


def bert_sg_att(w, H, f, alpha, starts):
  beta, Y = _lifted_attention(w, H, f)
  return torch.cat([*H[starts], Y.sum(0)]), beta


def bert_sg_att_release(w, H, f, alpha, starts):
  beta, Y = _lifted_attention(w, H, f)
  U = linear(w, "fusion/joint", torch.sigmoid(Y))
  return torch.cat([*H[starts], U.sum(0)]), beta


def mega(w, H, f, alpha, starts):
  K, V = linear(w, "fusion/key", H), linear(w, "fusion/value", H)
  beta = _softmax_rows(linear(w, "fusion/query", f), K)
  Y = (alpha.T + beta) @ V
  return torch.cat([*V[starts], Y.sum(0)]), beta


def mega_released(w, H, f, alpha, starts):
  beta, read = _lifted_attention(w, H, f)
  A = torch.sigmoid(read)
  T = alpha.T @ linear(w, "fusion/text", H)
  U = linear(w, "fusion/joint", torch.cat([A, T], dim=1))
  return torch.cat([*H[starts], U.sum(0)]), beta


def structural(w, H, f, alpha, starts):
  V = linear(w, "fusion/value", H)
  return torch.cat([*V[starts], (alpha.T @ V).sum(0)]), None


def structural_release(w, H, f, alpha, starts):
  U = linear(w, "fusion/joint", alpha.T @ linear(w, "fusion/text", H))
  return torch.cat([*H[starts], U.sum(0)]), None


def classify(w, x):
  return linear(w, "relation_head/out", linear(w, "relation_head/hidden", x))


def forward(fuse, w, hidden, batch, cut):
  """Returns logits, float[B, C], and beta of each row.

  Args:
    fuse: one of the functions above.
    w: weights.
    hidden: float[B, T, D], the text's states.
    batch: a `Batch` of numpy arrays.
    cut: whether padding and absent objects are removed.
  """
  logits, betas = [], []
  for b, states in enumerate(hidden):
    tokens, objects = batch.attention_mask[b], batch.region_mask[b]
    if not cut:
      tokens, objects = tokens | True, objects | True
    f = torch.from_numpy(batch.regions[b][objects].astype(float))
    alpha = torch.from_numpy(
      batch.alignment[b][tokens][:, objects].astype(float)
    )
    starts = [int(batch.head_start[b]), int(batch.tail_start[b])]
    x, beta = fuse(w, states[torch.from_numpy(tokens)], f, alpha, starts)
    logits.append(classify(w, x))
    betas.append(beta)
  return torch.stack(logits), betas


ROWS, OBJECTS, DIM = 4, 3, 7


class Case(NamedTuple):
  """A system's settings, its formula in PyTorch, and the names of its maps."""

  settings: dict
  fuse: object
  weight_names: tuple = ()


NO_GRAPH = {"structural": False}
RELEASE = {"variant": "released"}
BOTH = ("structural", "semantic")
CASES = {
  "BERT+SG": Case(NO_GRAPH | {"semantic": False}, bert_sg),
  "BERT+SG+Att.": Case(NO_GRAPH, bert_sg_att, BOTH[1:]),
  "BERT+SG+Att., released": Case(
    NO_GRAPH | RELEASE, bert_sg_att_release, BOTH[1:]
  ),
  "MEGA": Case({}, mega, BOTH),
  "MEGA, released": Case(RELEASE, mega_released, BOTH),
  "structural": Case({"semantic": False}, structural, BOTH[:1]),
  "structural, released": Case(
    {"semantic": False} | RELEASE, structural_release, BOTH[:1]
  ),
}
MASKED = [name for name in CASES if "released" not in name]


def mega_config(case, dropout=0.0, **changes):
  """Returns a case's config in a tiny size."""
  text = tiny.tiny_config(dropout, num_layers=1).text
  return MEGAConfig(
    text=text,
    regions=RegionConfig(OBJECTS, DIM),
    num_relations=5,
    head_dropout_rate=dropout,
    **CASES[case].settings | changes,
  )


def make_batch(text_len=12, seed=0):
  """Returns texts of 4 to 12 tokens, and 3, 1, 0 and 2 objects."""
  text = replace(tiny.tiny_config(), vision=None)
  batch = tiny.random_batch(text, ROWS, 12, seed)
  rng = np.random.default_rng(seed + 1)
  there = np.arange(OBJECTS) < np.array([[3], [1], [0], [2]])
  regions = rng.normal(size=(ROWS, OBJECTS, DIM)) * there[..., None]
  aligned = rng.uniform(size=(ROWS, 12, OBJECTS))
  aligned *= batch.attention_mask[..., None] & there[:, None]
  longer = lambda x: np.pad(x, ((0, 0), (0, text_len - 12)))  # noqa: E731
  return batch.replace(
    input_ids=longer(batch.input_ids),
    attention_mask=longer(batch.attention_mask),
    token_type_ids=longer(batch.token_type_ids),
    regions=regions.astype(np.float32),
    region_mask=there,
    alignment=np.pad(
      aligned.astype(np.float32), ((0, 0), (0, text_len - 12), (0, 0))
    ),
  )


def make_params(config):
  """Returns parameters for which attention is far from uniform."""
  params = tiny.perturbed_params(config)
  scaled = jax.tree.map(lambda w: 3 * w, params["fusion"])
  return params | {"fusion": scaled}
