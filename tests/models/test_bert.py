"""BERT and MTB compared with transformers' BertModel and linear layers."""

import functools

import hf_models
import jax
import numpy as np
import pytest
import torch
from flax import traverse_util

from ifa_jax import Batch
from ifa_jax.convert.huggingface.encoder_weights import read_stream
from ifa_jax.models import build, replace
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.training import steps

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
ROWS, TEXT_LEN, WIDTH, RELATIONS = 3, 9, 24, 5
LAYERS = 2
POOLINGS = ("cls", "entity_start")


@pytest.fixture(name="bert", scope="module")
def random_bert(tmp_path_factory):
  """Returns a BertModel in float64, and its weights as a text stream."""
  folder = tmp_path_factory.mktemp("bert")
  model = hf_models.make("BertModel", num_hidden_layers=LAYERS)
  model.save_pretrained(folder)
  return model.double(), read_stream(folder, "text")


def make_batch(seed=0):
  rng = np.random.default_rng(seed)
  real = np.arange(TEXT_LEN) < np.array([[9], [4], [6]])
  ids = rng.integers(1, hf_models.VOCAB, (ROWS, TEXT_LEN))
  return Batch(
    input_ids=np.where(real, ids, 0).astype(np.int32),
    attention_mask=real,
    token_type_ids=rng.integers(0, 2, (ROWS, TEXT_LEN), np.int32),
    head_start=np.array([1, 2, 5], np.int32),
    tail_start=np.array([7, 1, 3], np.int32),
    label=np.array([0, 4, 2], np.int32),
    valid=np.ones(ROWS, bool),
  )


def make_config(stream, pooling):
  text = replace(stream.config, dropout_rate=0.0, attention_dropout_rate=0.0)
  return BertConfig(
    text, pooling, num_relations=RELATIONS, head_dropout_rate=0.0
  )


def head_weights(pooling):
  """Returns the torch layers that follow the encoder, with random weights."""
  rng = np.random.default_rng(7)
  sizes = {"out": (RELATIONS, WIDTH)}
  if pooling == "entity_start":
    sizes = {"hidden": (2 * WIDTH,) * 2, "out": (RELATIONS, 2 * WIDTH)}
  layers = {}
  for name, (rows, columns) in sizes.items():
    layers[name] = torch.nn.Linear(columns, rows).double()
    with torch.no_grad():
      for weight in layers[name].parameters():
        drawn = rng.normal(0, 0.15, weight.shape).astype(np.float32)
        weight.copy_(torch.from_numpy(drawn))
  return layers


def to_params(stream, model, head):
  """Returns the same weights as parameters; the pooler only if it is read."""
  linear = lambda layer: {  # noqa: E731
    "kernel": layer.weight.detach().float().numpy().T,
    "bias": layer.bias.detach().float().numpy(),
  }
  text = {k: w for k, w in stream.params.items() if k.startswith("text/")}
  params = traverse_util.unflatten_dict(text, sep="/")
  if "hidden" not in head:
    params["pooler"] = linear(model.pooler.dense)
  params["relation_head"] = {k: linear(layer) for k, layer in head.items()}
  return params


def torch_logits(model, head, batch):
  """Returns float64[B, C], and all hidden states."""
  read = model(
    input_ids=torch.from_numpy(batch.input_ids.astype(int)),
    attention_mask=torch.from_numpy(batch.attention_mask),
    token_type_ids=torch.from_numpy(batch.token_type_ids.astype(int)),
    output_hidden_states=True,
  )
  if "hidden" not in head:
    return head["out"](read.pooler_output), read.hidden_states
  pairs = [
    torch.cat([states[head_start], states[tail_start]])
    for states, head_start, tail_start in zip(
      read.last_hidden_state, batch.head_start, batch.tail_start, strict=True
    )
  ]
  return head["out"](head["hidden"](torch.stack(pairs))), read.hidden_states


@functools.partial(jax.jit, static_argnums=0)
def apply(config, params, batch):
  return build(config).apply({"params": params}, batch, capture=True)


def assert_close(got, want):
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_states_and_gradients(pooling, bert):
  model, stream = bert
  config, batch = make_config(stream, pooling), make_batch()
  head = head_weights(pooling)
  params = to_params(stream, model, head)

  @jax.jit
  def losses(params):
    def loss(params):
      output = build(config).apply({"params": params}, batch, capture=True)
      return steps.row_sums(output.logits, batch)[0] / ROWS, output

    return jax.value_and_grad(loss, has_aux=True)(params)

  (loss, got), gradients = losses(params)
  model.zero_grad()
  logits, states = torch_logits(model, head, batch)
  want = torch.nn.functional.cross_entropy(
    logits, torch.from_numpy(batch.label.astype(int))
  )
  want.backward()
  assert_close(got.logits, logits.detach().numpy())
  assert_close(loss, want.item())
  assert_close(got.text_hidden, torch.stack(states).detach().numpy())
  assert got.text_attention.shape == (LAYERS, ROWS, TEXT_LEN, TEXT_LEN)
  assert_close(np.sum(got.text_attention, axis=-1), 1)
  assert got.region_weights is got.visual_hidden is None

  layers = {f"relation_head/{name}": layer for name, layer in head.items()}
  if pooling == "cls":
    layers["pooler"] = model.pooler.dense
  query = model.encoder.layer[0].attention.self.query
  layers["text/layer_0/attention/query"] = query
  flat = traverse_util.flatten_dict(gradients, sep="/")
  for path, layer in layers.items():
    assert_close(flat[f"{path}/kernel"], layer.weight.grad.numpy().T)
    assert_close(flat[f"{path}/bias"], layer.bias.grad.numpy())
    assert layer.weight.grad.abs().max() > 100 * TOLERANCE, path


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_does_not_change_logits(pooling, bert):
  model, stream = bert
  config, batch = make_config(stream, pooling), make_batch()
  params = to_params(stream, model, head_weights(pooling))
  longer = lambda x: np.pad(x, ((0, 0), (0, 4)), constant_values=0)  # noqa: E731
  long = batch.replace(
    input_ids=longer(batch.input_ids),
    attention_mask=longer(batch.attention_mask),
    token_type_ids=longer(batch.token_type_ids),
  )
  short, long = (apply(config, params, x).logits for x in (batch, long))
  assert_close(short, long)


def test_only_entity_starts_read_the_markers_and_in_order(bert):
  model, stream = bert
  batch = make_batch()
  turned = batch.replace(
    head_start=batch.tail_start, tail_start=batch.head_start
  )
  for pooling, differs in zip(POOLINGS, (False, True), strict=True):
    config = make_config(stream, pooling)
    params = to_params(stream, model, head_weights(pooling))
    gap = np.abs(
      apply(config, params, batch).logits - apply(config, params, turned).logits
    ).max()
    assert (gap > 100 * TOLERANCE) == differs


def test_dropout_applies_only_in_training(bert):
  model, stream = bert
  quiet, batch = make_config(stream, "entity_start"), make_batch()
  head = head_weights("entity_start")
  params = to_params(stream, model, head)
  loud = replace(
    quiet,
    text=replace(quiet.text, dropout_rate=0.5, attention_dropout_rate=0.5),
    head_dropout_rate=0.5,
  )

  @jax.jit
  def train(seed):
    rngs = {"dropout": jax.random.key(seed)}
    return build(loud).apply(
      {"params": params}, batch, train=True, capture=True, rngs=rngs
    )

  assert_close(
    apply(loud, params, batch).logits, apply(quiet, params, batch).logits
  )
  one, other = train(0), train(1)
  assert np.abs(one.text_hidden - other.text_hidden).max() > 0.01
  # Dropout in the head changes the logits of the same text states.
  rows, last = np.arange(ROWS), np.asarray(one.text_hidden[-1], np.float64)
  starts = (batch.head_start, batch.tail_start)
  pair = np.concatenate([last[rows, start] for start in starts], axis=-1)
  whole = head["out"](head["hidden"](torch.from_numpy(pair))).detach().numpy()
  assert np.abs(one.logits - whole).max() > 0.01


@pytest.mark.parametrize(
  ("rate", "first"), [("dropout_rate", 0), ("attention_dropout_rate", 1)]
)
def test_a_dropout_rate_changes_states_from_its_layer_on(rate, first, bert):
  model, stream = bert
  config, batch = make_config(stream, "cls"), make_batch()
  params = to_params(stream, model, head_weights("cls"))
  kept = apply(config, params, batch).text_hidden
  dropping = replace(config, text=replace(config.text, **{rate: 0.5}))
  run = functools.partial(build(dropping).apply, train=True, capture=True)
  rngs = {"dropout": jax.random.key(0)}
  dropped = jax.jit(run)({"params": params}, batch, rngs=rngs).text_hidden
  gaps = np.abs(dropped - kept).max(axis=(1, 2, 3))
  assert (gaps[:first] < TOLERANCE).all()
  assert gaps[first] > 0.01
