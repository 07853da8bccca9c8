"""PCNN compared with its definition in plain loops; its initial values."""

import functools

import jax
import numpy as np
import pytest
import tiny

from ifa_jax import Batch
from ifa_jax.models import build, parameters, replace
from ifa_jax.models.baselines.pcnn import PAD, PCNNConfig
from ifa_jax.training import steps

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
CONFIG = PCNNConfig(
  vocab_size=20,
  word_dim=3,
  position_dim=2,
  hidden_dim=4,
  max_words=6,
  num_relations=5,
  head_dropout_rate=0.0,
)
# Words of a text, and the first words of head and tail.
POSTS = {
  "head first": (5, 1, 3),
  "tail first": (5, 3, 1),
  "at the border": (4, 0, 3),
  "equal starts": (5, 2, 2),
  "entities at the end": (3, 2, 2),
  "one word": (1, 0, 0),
  "no word": (0, 0, 0),
  "as many words as the table": (6, 0, 5),
  "offsets beyond the table": (9, 0, 1),
  "an entity after the table": (9, 8, 2),
  "an entity after the text": (4, 7, 5),
}


def make_batch(num_words=9, seed=0):
  """Returns `POSTS` as a batch, W = num_words."""
  length, head, tail = (
    np.array(n, np.int32) for n in zip(*POSTS.values(), strict=True)
  )
  rng = np.random.default_rng(seed)
  # The first words do not depend on W.
  words = rng.integers(1, CONFIG.vocab_size, (len(POSTS), 9), np.int32)
  words = np.pad(words, ((0, 0), (0, num_words - 9)))
  mask = np.arange(num_words) < length[:, None]
  text = np.zeros((len(POSTS), 4), np.int32)
  return Batch(
    input_ids=text,
    attention_mask=text == 0,
    token_type_ids=text,
    head_start=text[:, 0],
    tail_start=text[:, 0],
    words=np.where(mask, words, PAD),
    word_mask=mask,
    head_word=head,
    tail_word=tail,
    label=np.arange(len(POSTS), dtype=np.int32) % CONFIG.num_relations,
    valid=np.ones(len(POSTS), bool),
  )


def make_params(config=CONFIG):
  """Returns large parameters, row 0 of each table included."""
  return jax.tree.map(lambda w: 5 * w, tiny.perturbed_params(config))


@functools.partial(jax.jit, static_argnums=0)
def apply(config, params, batch):
  return build(config).apply({"params": params}, batch, capture=True)


def logits_of(config, params, batch):
  return np.asarray(apply(config, params, batch).logits)


def in_loops(config, params, words, head, tail):
  """Returns float64[C] for the word ids of a text without padding."""
  size, reach = config.max_words, config.kernel_size // 2
  count = len(words)
  inputs = []
  for i in range(count + 2):
    there = i < count
    row = [params["word"]["embedding"][words[i] if there else PAD]]
    for name, start in (("head", head), ("tail", tail)):
      offset = min(i - min(start, size) + size, 2 * size - 1) if there else 0
      table = params[f"{name}_position"]["embedding"]
      row.append(table[offset] if offset else np.zeros(config.position_dim))
    inputs.append(np.concatenate(row).astype(np.float64))
  kernel, bias = (params["convolution"][name] for name in ("kernel", "bias"))
  pieces = np.zeros((3, config.hidden_dim))
  for i in range(count):
    piece = (i > min(head, tail)) + (i > max(head, tail))
    for f in range(config.hidden_dim):
      total = float(bias[f])
      for k in range(config.kernel_size):
        if 0 <= i + k - reach < len(inputs):
          for d, value in enumerate(inputs[i + k - reach]):
            total += value * kernel[k, d, f]
      pieces[piece, f] = max(pieces[piece, f], total)
  last = params["relation_head"]
  return pieces.reshape(-1) @ last["kernel"] + last["bias"]


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_logits_equal_plain_loops(kernel_size):
  config = replace(CONFIG, kernel_size=kernel_size)
  batch, params = make_batch(), make_params(config)
  got = logits_of(config, params, batch)
  for row, name in enumerate(POSTS):
    want = in_loops(
      config,
      params,
      batch.words[row][batch.word_mask[row]],
      int(batch.head_word[row]),
      int(batch.tail_word[row]),
    )
    np.testing.assert_allclose(
      got[row], want, rtol=0, atol=TOLERANCE, err_msg=name
    )


def test_a_piece_without_a_word_is_zero():
  config = replace(CONFIG, num_relations=3 * CONFIG.hidden_dim)
  batch, params = make_batch(), make_params(config)
  params["relation_head"] = {"kernel": np.eye(12), "bias": np.zeros(12)}
  # Every filter is positive at every word.
  params["convolution"]["bias"] = np.full(4, 50.0)
  pooled = logits_of(config, params, batch).reshape(-1, 3, 4)
  filled = {
    name: [bool(piece.all()) for piece in pieces]
    for name, pieces in zip(POSTS, pooled, strict=True)
  }
  assert not pooled[(pooled < 1).any(axis=-1)].any()
  assert filled["head first"] == filled["tail first"] == [True, True, True]
  assert filled["at the border"] == [True, True, False]
  assert filled["equal starts"] == [True, False, True]
  assert filled["entities at the end"] == [True, False, False]
  assert filled["one word"] == [True, False, False]
  assert filled["no word"] == [False, False, False]
  assert filled["an entity after the text"] == [True, False, False]


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_padding_does_not_change_logits(kernel_size):
  config = replace(CONFIG, kernel_size=kernel_size)
  params = make_params(config)
  short, long = (
    logits_of(config, params, make_batch(length)) for length in (9, 16)
  )
  np.testing.assert_allclose(short, long, rtol=0, atol=TOLERANCE)


def test_head_and_tail_have_their_own_tables():
  batch, params = make_batch(), make_params()
  turned = batch.replace(head_word=batch.tail_word, tail_word=batch.head_word)
  gap = np.abs(
    logits_of(CONFIG, params, batch) - logits_of(CONFIG, params, turned)
  ).max(axis=1)
  names = list(POSTS)
  assert gap[names.index("head first")] > 0.01
  assert gap[names.index("equal starts")] < TOLERANCE


def test_padding_is_trained_as_a_word_but_not_as_an_offset():
  batch = make_batch()

  @jax.jit
  def gradients(params):
    def loss(params):
      logits = build(CONFIG).apply({"params": params}, batch).logits
      return steps.row_sums(logits, batch)[0]

    return jax.grad(loss)(params)

  got = gradients(make_params())
  assert np.abs(got["word"]["embedding"][PAD]).max() > 1e-3
  for name in ("head_position", "tail_position"):
    assert not got[name]["embedding"][0].any()
    assert got[name]["embedding"].any()


def test_parameter_counts():
  shapes = parameters.param_shapes(PCNNConfig(vocab_size=7))
  counts = {}
  for path, shape in shapes.items():
    layer = path.split("/")[0]
    counts[layer] = counts.get(layer, 0) + int(np.prod(shape))
  assert counts == {
    "word": 7 * 50,
    "head_position": 1280,
    "tail_position": 1280,
    "convolution": 41_630,
    "relation_head": 15_893,
  }


def test_initial_values():
  config = PCNNConfig(vocab_size=400)
  start = jax.jit(parameters.init_params, static_argnums=0)
  params = start(config, jax.random.key(0))
  words = np.asarray(params["word"]["embedding"])
  assert not words[PAD].any()
  assert words[1:].std() == pytest.approx(50**-0.5, rel=0.02)
  for name in ("head_position", "tail_position"):
    assert np.std(params[name]["embedding"]) == pytest.approx(1, rel=0.08)
  for name, fan_in in (("convolution", 3 * 60), ("relation_head", 690)):
    bound = fan_in**-0.5
    kernel, bias = (np.abs(params[name][k]) for k in ("kernel", "bias"))
    assert 0.99 * bound < kernel.max() <= bound
    assert kernel.mean() == pytest.approx(bound / 2, rel=0.02)
    assert 0.7 * bound < bias.max() <= bound
    for drawn in params[name].values():
      assert np.mean(drawn > 0) == pytest.approx(0.5, abs=0.25)
  assert np.std(params["convolution"]["bias"]) > 0


def test_dropout_is_applied_twice_and_only_in_training():
  config = replace(CONFIG, num_relations=12, head_dropout_rate=0.5)
  batch, params = make_batch(), make_params(config)
  params["relation_head"] = {"kernel": np.eye(12), "bias": np.zeros(12)}
  pooled = logits_of(config, params, batch)

  @jax.jit
  @jax.vmap
  def train(seed):
    rngs = {"dropout": jax.random.key(seed)}
    model = build(config)
    return model.apply({"params": params}, batch, train=True, rngs=rngs).logits

  seen = pooled > 0.01
  ratios = (np.asarray(train(np.arange(50))) / np.where(seen, pooled, 1))[
    :, seen
  ]
  kept = ratios > 2
  np.testing.assert_allclose(ratios, np.where(kept, 4, 0), atol=1e-4)
  assert kept.mean() == pytest.approx(0.25, abs=0.03)


def test_there_is_nothing_to_capture():
  output = apply(CONFIG, make_params(), make_batch())
  assert output.logits.shape == (len(POSTS), 5)
  assert len(jax.tree.leaves(output)) == 1
