"""ResNets against transformers', with perturbed weights and statistics."""

import jax
import numpy as np
import pytest
import resnets
import torch

from ifa_jax.convert import resnet as converter
from ifa_jax.models.encoders.resnet import ResNet, ResNetConfig, pyramid

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
GROUPED = "encoder.stages.1.layers.0.layer.1.convolution.weight"


@pytest.fixture(scope="module")
def theirs():
  return resnets.make((16, 24, 32, 40))


def run(arrays, pixels):
  config, params = converter.convert(arrays, "resnet")
  apply = jax.jit(ResNet(config).apply)
  return config, apply({"params": params}, pixels)


@pytest.mark.parametrize("renamed", [False, True])
def test_maps_of_all_stages(theirs, renamed):
  arrays = resnets.arrays_of(theirs)
  if renamed:
    arrays = {resnets.as_torchvision(name): x for name, x in arrays.items()}
    arrays["fc.weight"] = np.zeros((3, 40), np.float32)
  pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 3))
  pixels = pixels.astype(np.float32)
  config, maps = run(arrays, pixels)
  assert config.depths == (2, 1, 2, 1)
  assert config.stage_dims == (16, 24, 32, 40)
  with torch.no_grad():
    out = theirs(
      torch.from_numpy(pixels.transpose(0, 3, 1, 2)), output_hidden_states=True
    )
  for found, expected in zip(maps, out.hidden_states[1:], strict=True):
    expected = expected.numpy().transpose(0, 2, 3, 1)
    size = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * size)


def test_pyramid_drops_what_the_window_does_not_cover():
  maps = [
    np.arange(2 * side * side * 2.0).reshape(2, side, side, 2)
    for side in (8, 7)
  ]
  found = np.asarray(pyramid(maps)).reshape(2, 4, 2, 2)
  for index, (x, window) in enumerate(zip(maps, (4, 3), strict=True)):
    for place in np.ndindex(2, 2):
      cut = [slice(i * window, (i + 1) * window) for i in place]
      expected = x[:, cut[0], cut[1]].mean((1, 2))
      channels = slice(2 * index, 2 * index + 2)
      np.testing.assert_allclose(
        found[:, channels, place[0], place[1]], expected, rtol=1e-6
      )


def test_number_of_parameters_of_resnet_50():
  pixels = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
  shapes = jax.eval_shape(
    ResNet(ResNetConfig()).init, jax.random.key(0), pixels
  )
  count = sum(x.size for x in jax.tree.leaves(shapes))
  # 23 508 032 without the classifier; a norm's gain and offset become a bias.
  norms = 53_120 // 2
  assert count == 23_508_032 - norms


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda x: x.clear(), "bottleneck blocks"),
    (
      lambda x: x.pop("embedder.embedder.normalization.running_var"),
      "running_v",
    ),
    (lambda x: x.update(extra=np.zeros(3)), "got extra as well"),
    (
      lambda x: x.update({GROUPED: x[GROUPED] * np.nan}),
      r"layer2\.0\.conv2\.weight: expected finite float32 values, got nan",
    ),
    # A ResNet of grouped convolutions.
    (
      lambda x: x.update({GROUPED: x[GROUPED][:, ::2]}),
      r"stage_1_block_0/spatial/conv/kernel: expected shape \(3, 3, ",
    ),
  ],
)
def test_other_checkpoints_are_refused(theirs, change, message):
  arrays = resnets.arrays_of(theirs)
  change(arrays)
  with pytest.raises(ValueError, match=message):
    converter.convert(arrays, "resnet")
