"""Reads a DINOv2 from an ONNX file, as a folder of transformers would hold it.

The file is that of `torch.onnx.export(dynamo=False)` for a `Dinov2Model` or a
larger model around one. Weights have their names of PyTorch there, except those
of linear layers, which are transposed and multiply before a bias is added, and
the two parts of a position table that the graph resizes.
"""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from ifa_jax.files.shown import one_line

SUFFIX = ".onnx"
_Item = TypeVar("_Item")

# The first two show that there is a DINOv2.
_CLASS_TOKEN = "embeddings.cls_token"  # noqa: S105
_SCALE = "encoder.layer.0.layer_scale1.lambda1"
_POSITIONS = "embeddings.position_embeddings"
_PATCHES = "embeddings.patch_embeddings.projection.weight"
# In older and newer versions of transformers.
_QUERIES = (
  "encoder.layer.0.attention.attention.query.bias",
  "encoder.layer.0.attention.q_proj.bias",
)


def read_weights(path: str) -> dict[str, np.ndarray]:
  """Returns name -> array, with "dinov2." before the names of the encoder.

  Raises:
    ValueError: if the file is damaged or holds another graph.
  """
  return _Graph(path).weights()


def read_json(path: str, name: str) -> dict[str, Any] | None:
  """Returns the object that a folder would have in a JSON file, or None.

  Args:
    path: of the ONNX file.
    name: of the JSON file.

  Raises:
    ValueError: if the ONNX file is damaged or holds another graph.
  """
  if name == "config.json":
    return _Graph(path).config()
  if name == "preprocessor_config.json":
    return _Graph(path).processor()
  return None


class _Graph:
  """A graph with a DINOv2 in it."""

  def __init__(self, path: str):
    try:
      import onnx
    except ImportError:
      raise ValueError(
        f"{path}: an ONNX file is read by onnx, got no such package (pip"
        " install onnx)"
      ) from None
    try:
      graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # Of protobuf.
      raise ValueError(
        f"{path}: damaged, or no ONNX file ({one_line(error)})"
      ) from None
    for tensor in graph.initializer:
      if tensor.data_location == onnx.TensorProto.EXTERNAL:
        # A change of the other file would not be noticed.
        raise ValueError(
          f"{path}: expected all weights in this file, got {tensor.name} in"
          " another; join them: onnx.save(onnx.load(FILE), NEW)"
        )
    read = onnx.numpy_helper.to_array
    self.path, self.inputs, self.nodes = path, graph.input, graph.node
    self.origin = {name: node for node in self.nodes for name in node.output}
    self.arrays = {tensor.name: read(tensor) for tensor in graph.initializer}
    self.constants = self.arrays | {
      node.output[0]: read(node.attribute[0].t)
      for node in self.nodes
      if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    names = (name for name in self.arrays if name.endswith(_CLASS_TOKEN))
    token = self._first(names, _CLASS_TOKEN)
    self.prefix = token.removesuffix(_CLASS_TOKEN)
    self._array(_SCALE)

  def weights(self) -> dict[str, np.ndarray]:
    """Returns the weights under their names of PyTorch."""
    found = dict(self.arrays)
    for node in self.nodes:
      if node.op_type != "Add":
        continue
      biases = [name for name in node.input if name.endswith(".bias")]
      products = self._before(node, "MatMul")
      if biases and products and products[0].input[1] in found:
        name = biases[0].removesuffix("bias") + "weight"
        found[name] = found.pop(products[0].input[1]).T
    table = self._positions()
    found = {name: x for name, x in found.items() if name not in table}
    parts = {self.prefix + _POSITIONS: np.concatenate([*table.values()], 1)}
    return {
      f"dinov2.{name.removeprefix(self.prefix)}"
      if name.startswith(self.prefix)
      else name: array
      for name, array in (found | parts).items()
    }

  def config(self) -> dict[str, Any]:
    """Returns the content of `config.json`."""
    width, _, patch, _ = self._array(_PATCHES).shape
    self._first(filter(_is_exact_gelu, self.nodes), "GELU of Erf")
    rows = sum(part.shape[1] for part in self._positions().values())
    scales = [name for name in self.arrays if name.endswith("scale1.lambda1")]
    return {
      "model_type": "dinov2",
      "hidden_size": width,
      "num_hidden_layers": len(scales),
      "num_attention_heads": width // self._head_width(),
      "mlp_ratio": len(self._array("encoder.layer.0.mlp.fc1.bias")) / width,
      "layer_norm_eps": self._epsilon(),
      "image_size": math.isqrt(rows - 1) * patch,
      "patch_size": patch,
    }

  def processor(self) -> dict[str, Any]:
    """Returns sizes of pictures as in `preprocessor_config.json`."""
    dims = self.inputs[0].type.tensor_type.shape.dim[-2:]
    sides = {x.dim_value for x in dims}
    if len(sides) != 1 or 0 in sides:
      # Of any size.
      sides = {self.config()["image_size"]}
    (side,) = sides
    return {"size": {"shortest_edge": side}, "crop_size": side}

  def _positions(self) -> dict[str, np.ndarray]:
    """Returns name -> float[1, n, D] of one or two parts of the table."""
    if (name := self.prefix + _POSITIONS) in self.arrays:
      return {name: self.arrays[name]}
    width = len(self._array(_PATCHES))
    parts = {
      name: x
      for name, x in self.arrays.items()
      if name.startswith("onnx::") and x.ndim == 3 and x.shape[2] == width
    }
    # The class token's row first.
    names = sorted(parts, key=lambda name: parts[name].shape[1])
    if [parts[name].shape[1] == 1 for name in names] != [True, False]:
      raise self._other(_POSITIONS)
    return {name: parts[name] for name in names}

  def _head_width(self) -> int:
    """Returns the last axis of the shape that queries get."""
    names = [self.prefix + name for name in _QUERIES]
    bias = self._first((n for n in names if n in self.arrays), _QUERIES[0])
    (query,) = self._reader(bias).output
    shape = self._reader(query, "Reshape").input[1]
    while shape not in self.constants:
      made = self.origin.get(shape)
      if made is None or made.op_type not in ("Concat", "Unsqueeze"):
        raise self._other("number of heads")
      shape = made.input[-1 if made.op_type == "Concat" else 0]
    return int(self.constants[shape].ravel()[-1])

  def _epsilon(self) -> float:
    """Returns the constant in the first LayerNorm."""
    node = self._reader(self.prefix + "encoder.layer.0.norm1.weight")
    if node.op_type == "LayerNormalization":
      epsilon = next(x.f for x in node.attribute if x.name == "epsilon")
    else:
      for kind in ("Div", "Sqrt", "Add"):
        node = self._first(self._before(node, kind), f"{kind} of LayerNorm")
      added = (self.constants.get(name) for name in node.input)
      found = (x for x in added if x is not None)
      epsilon = self._first(found, "epsilon of LayerNorm").item()
    # 1e-6 in float32 is 9.99999997e-07.
    return float(f"{epsilon:.6g}")

  def _reader(self, name: str, kind: str | None = None) -> Any:
    """Returns the first node that reads an array, of a kind if one is given."""
    nodes = (x for x in self.nodes if name in x.input)
    found = (x for x in nodes if kind in (None, x.op_type))
    return self._first(found, f"node that reads {name}")

  def _before(self, node: Any, kind: str) -> list[Any]:
    """Returns the nodes of a kind that compute the inputs of a node."""
    made = [self.origin[name] for name in node.input if name in self.origin]
    return [x for x in made if x.op_type == kind]

  def _array(self, name: str) -> np.ndarray:
    """Returns a weight of the encoder."""
    if self.prefix + name not in self.arrays:
      raise self._other(name)
    return self.arrays[self.prefix + name]

  def _first(self, found: Iterable[_Item], what: str) -> _Item:
    for item in found:
      return item
    raise self._other(what)

  def _other(self, what: str) -> ValueError:
    return ValueError(
      f"{self.path}: expected the graph of a Dinov2Model, as of"
      f" torch.onnx.export(dynamo=False), got no {what}"
    )


def _is_exact_gelu(node: Any) -> bool:
  """Returns whether a node computes GELU by Erf, or is that Erf."""
  if node.op_type != "Gelu":
    return node.op_type == "Erf"
  return all(x.s == b"none" for x in node.attribute if x.name == "approximate")
