"""Whole steps in bfloat16 as an accelerator gets them: lowered, not run.

Arrays are named by their shapes, so all sizes of the models differ.
"""

import collections
import dataclasses
import functools
import re
from types import SimpleNamespace

import jax
import pytest
import tiny

from ifa_jax import benchmark, models
from ifa_jax.batch import pack_text
from ifa_jax.models import parameters
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.training import eval_step, optimizer, steps

B, T, PACKED, P, D, C, N = 4, 12, 40, 57, 16, 5, 2
ITEM_BYTES = {"i1": 1, "bf16": 2, "ui16": 2, "f32": 4, "ui32": 4}
_TINY = tiny.tiny_config(dropout=0.1, num_layers=3, dtype="bfloat16")
_TEXT = dataclasses.replace(_TINY.text, vocab_size=51, max_len=19)
MODELS = {
  "paper": models.replace(_TINY, text=_TEXT),
  "mtb": BertConfig(_TEXT, num_relations=C, dtype="bfloat16"),
}
# Tables, and arrays that are packed, unpacked or read at two markers. A loss
# reads the logit of each label.
GATHERED = {
  f"51x{D}xf32": "words",
  f"19x{D}xf32": "positions",
  f"2x{D}xf32": "token types",
  f"{B * T}xi32": "ids to pack",
  f"{B}x{T}xi32": "places of markers",
  f"{PACKED}x{D}xbf16": "unpacking, and markers",
  f"{B * T}x{D}xbf16": "packing",
  f"{B}x{T}x{D}xbf16": "markers of padded texts",
  f"{B}x{C}xf32": "logits of labels",
  f"{B}x1xf32": "logits of labels",
}


def step_of(config, task, packed=True):
  """Returns a step and its arguments, with layers as they are trained."""
  batch = tiny.random_batch(MODELS["paper"], B, T)
  batch = pack_text(batch, (PACKED // B,)) if packed else batch
  shapes, module = parameters.abstract_params(config), models.build(config)
  optim = benchmark.OPTIM
  layout = optimizer.choose_layout(config.scans_layers, optim, shapes)
  tx = optimizer.make_optimizer(optim, shapes, 10, layout)
  start = lambda params: steps.start_state(layout.convert(params), tx)  # noqa: E731
  state = jax.eval_shape(start, shapes)
  if task == "update":
    return steps.TrainStep(module, tx, seed=0), (state, batch)
  return eval_step.EvalStep(module), (state.params, batch)


def lower(name, task, packed, *platforms):
  """Returns the StableHLO of a step for each platform."""
  step, args = step_of(MODELS[name], task, packed)
  traced = jax.jit(step).trace(*args)
  return [traced.lower(lowering_platforms=(x,)).as_text() for x in platforms]


@functools.cache
def lowered(name, task, packed=True):
  """Returns the StableHLO for a GPU and for a TPU, without cuDNN's kernels."""
  return lower(name, task, packed, "cuda", "tpu")


@pytest.fixture(name="cudnn")
def kernels_of_cudnn(monkeypatch):
  """JAX lowers cuDNN's kernels without a GPU where it finds their version."""
  attention = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
  versions = SimpleNamespace(cudnn_get_version=lambda: 91_200)
  monkeypatch.setattr(attention, "cuda_versions", versions)
  device = SimpleNamespace(compute_capability="9.0")
  monkeypatch.setattr(jax, "devices", lambda: [device])
  monkeypatch.setenv("IFA_FUSED_ATTENTION", "1")


STEPS = pytest.mark.parametrize(
  ("name", "task", "packed"),
  [
    *((name, task, True) for name in MODELS for task in ("update", "predict")),
    ("mtb", "update", False),
  ],
)


def types_of(text, operation):
  """Returns the types of operands and results, in order, of each use."""
  use = rf'= "?stablehlo\.{operation}\b'
  # Those of an operation with a function follow the function.
  found = re.findall(
    use + r".*(?:\(\{\n(?:.*\n){2,3}?.*\}\))?.* : (\(.*)", text
  )
  assert len(found) == len(re.findall(use, text))
  return [re.findall(r"tensor<(\w+)>", types) for types in found]


@STEPS
def test_only_the_relation_head_multiplies_in_float32(name, task, packed):
  pair, kernel, logits = f"{B}x{2 * D}xf32", f"{2 * D}x{C}xf32", f"{B}x{C}xf32"
  wanted = [[pair, kernel, logits]]
  if task == "update":
    wanted += [[logits, kernel, pair], [pair, logits, kernel]]
  for text in lowered(name, task, packed):
    products = types_of(text, "dot_general")
    assert len(products) > 15
    assert [x for x in products if "f32" in x[0] + x[1]] == wanted


@STEPS
def test_gathers_are_the_meant_ones(name, task, packed):
  for text in lowered(name, task, packed):
    gathered = {types[0] for types in types_of(text, "gather")}
    assert gathered <= {*GATHERED}
    # Positions of padded texts are a slice.
    assert (f"19x{D}xf32" in gathered) == packed


@STEPS
def test_gradients_are_added_up_over_rows_in_float32(name, task, packed):
  for text in lowered(name, task, packed):
    sums = re.findall(r"stablehlo\.reduce\(.*stablehlo\.add .*: (.*)", text)
    assert sums
    assert "bf16" not in "".join(sums)
    scattered = {types[0] for types in types_of(text, "scatter")}
    assert scattered or task == "predict"
    # Of two markers, at most two gradients meet.
    markers = {f"{B}x{T}x{D}xbf16", f"{PACKED}x{D}xbf16"}
    assert {x for x in scattered if "bf16" in x} <= markers


@STEPS
def test_nothing_is_of_the_host_or_of_float64(name, task, packed):
  for text in lowered(name, task, packed):
    assert not re.findall("custom_call|f64|infeed|outfeed|send|recv", text)


def bytes_per_logit(text, queries, keys):
  """Returns the bytes of all results of the shape [B, N, Q, S], per element.

  More than a device writes, since a compiler fuses many of them.
  """
  shape = f"{B}x{N}x{queries}x{keys}"
  results = re.findall(rf" = .*tensor<{shape}x(\w+)>(?!.*tensor)", text)
  return sum(ITEM_BYTES[dtype] for dtype in results)


def attention_bytes(text, name):
  """Returns `bytes_per_logit` of vision, of texts and of the two markers."""
  keys = P + T if name == "paper" else T
  return [bytes_per_logit(text, queries, keys) for queries in (P, T, 2)]


# Only text has dropout; of the last layer, two markers are read.
@pytest.mark.parametrize(
  ("name", "task", "most"),
  [
    ("paper", "update", [85, 170, 100]),
    ("paper", "predict", [28, 28, 28]),
    ("mtb", "update", [0, 170, 100]),
    ("mtb", "predict", [0, 28, 28]),
  ],
)
def test_attention_does_not_move_more_bytes(name, task, most):
  for text in lowered(name, task):
    for found, bound in zip(attention_bytes(text, name), most, strict=True):
      assert 0.9 * bound <= found <= bound


@pytest.mark.usefixtures("cudnn")
@pytest.mark.parametrize(
  ("name", "task", "calls", "kept"),
  [
    # The backward pass computes a layer once more, from kept projections. The
    # last column is 0 where no array of logits is left.
    ("paper", "update", {"Softmax": 2, "SoftmaxBackward": 1}, [0, 1, 1]),
    ("paper", "predict", {"Softmax": 2}, [0, 0, 1]),
    ("mtb", "update", {}, [0, 1, 1]),
    ("mtb", "predict", {"Softmax": 1}, [0, 0, 1]),
  ],
)
def test_cudnn_attends_where_nothing_is_dropped(name, task, calls, kept):
  (text,) = lower(name, task, True, "cuda")
  found = re.findall(r"custom_call @__cudnn\$fmhaScaleBias(\w+)", text)
  assert collections.Counter(found) == calls
  assert text.count("custom_call") == len(found)
  plain = attention_bytes(lowered(name, task)[0], name)
  assert attention_bytes(text, name) == [
    number * is_kept for number, is_kept in zip(plain, kept, strict=True)
  ]


@pytest.mark.parametrize(("task", "copies"), [("update", 2), ("predict", 1)])
def test_kernels_become_bfloat16_once_forward_and_once_backward(task, copies):
  # Projections, and both layers of the MLP, of a stacked pair and of the last
  # layers, of whose vision only keys and values are read.
  kernels = {(16, 16): 8 + 6, (16, 32): 2 + 1, (32, 16): 2 + 1}
  for text in lowered("paper", task):
    for (rows, columns), count in kernels.items():
      shape = f"{rows}x{columns}"
      convert = f": (tensor<{shape}xf32>) -> tensor<{shape}xbf16>"
      assert text.count(convert) == copies * count
