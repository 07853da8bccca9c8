"""BERT+SG, BERT+SG+Att. and MEGA in plain PyTorch, one row at a time.

Nothing is masked: what is not there is cut off before. `w` is name -> tensor
under the model's own paths, kernels [in, out]; H are the text's states,
float[n, D], f the objects, float[m, Dv], alpha float[n, m], and `starts` the
places of both opening markers. Every function returns what goes into the
relation head, and beta, float[m, n], or None.
"""

import torch


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
  """Returns beta and what the objects read: float[m, n], float[m, E]."""
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
    cut: whether padding and absent objects are cut off.
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
