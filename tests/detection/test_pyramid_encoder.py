"""Features of HVPNeT against transformers' ResNet, and scenes of them."""

import numpy as np
import pytest
import raw_tree
import resnets
import safetensors.torch
import torch
import transformers
from PIL import Image

from ifa_jax.data.images.boxes import read_list
from ifa_jax.detection import pyramid_encoder, region_encoder, scene_builder
from ifa_jax.models.encoders import resnet
from ifa_jax.preparation.scenes import splits

pytestmark = [
  pytest.mark.slow,
  pytest.mark.usefixtures("fast_compilation"),
]

TOLERANCE = 5e-6
DIM = 4 * (8 + 8 + 16 + 16)
# The published ResNet-50 comes with this processor: 224 / 256 of 256 pixels.
PROCESSOR = transformers.ConvNextImageProcessorPil(
  size={"shortest_edge": 224},
  crop_pct=224 / 256,
  resample=Image.Resampling.BILINEAR,
  image_mean=resnet.MEAN,
  image_std=resnet.STD,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return resnets.write(tmp_path_factory.mktemp("resnet") / "resnet")


@pytest.fixture(scope="module")
def encoder(folder, fast_compilation):
  return region_encoder.load(f"pyramid:{folder}")


def picture(width, height, seed=0):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
  return Image.fromarray(coarse).resize((width, height))


def by_torch(pixels):
  """Returns float64[n, DIM] of float[n, 3, 224, 224]."""
  model = resnets.make((8, 8, 16, 16)).double()
  with torch.no_grad():
    out = model(pixels.double(), output_hidden_states=True)
  pooled = [
    torch.nn.functional.avg_pool2d(x, x.shape[-1] // 2)
    for x in out.hidden_states[1:]
  ]
  return torch.cat(pooled, dim=1).flatten(1).numpy()


def test_features_are_those_of_pytorch(encoder):
  # More than one batch, the last one with filler.
  # At these widths, the processor's centre is also torchvision's.
  widths = (300, 302, 304, 308, 310)
  listed = [picture(width, 200, seed=width) for width in widths]
  listed.append(picture(30, 64, seed=9))
  pixels = PROCESSOR(listed, return_tensors="pt").pixel_values
  expected = by_torch(pixels)
  found = encoder.encode(listed)
  assert (found.shape, found.dtype) == ((6, DIM), np.float32)
  size = np.abs(expected).max()
  np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * size)
  assert encoder.encode([]).shape == (0, DIM)


def test_absent_regions_are_a_picture_of_zeros(encoder):
  (expected,) = by_torch(torch.zeros(1, 3, 224, 224))
  size = np.abs(expected).max()
  np.testing.assert_allclose(
    encoder.absent(), expected, rtol=0, atol=TOLERANCE * size
  )
  assert size > 0.1


def test_the_centre_is_rounded_as_by_torchvision():
  """CenterCrop computes int(round((width - 224) / 2.0)): 17.5 is 18."""
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (256, 259, 3), np.uint8)
  found = pyramid_encoder._normalised(Image.fromarray(pixels))
  expected = (pixels[16:240, 18:242] / 255 - resnet.MEAN) / resnet.STD
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pictures_of_any_shape_are_encoded(encoder):
  thin = picture(60_000, 2)
  assert np.isfinite(encoder.encode([thin, picture(1, 1)])).all()
  # Only the middle of a long picture counts.
  middle = thin.crop((29_950, 0, 30_050, 2))
  found = encoder.encode([thin, middle])
  np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_of_torchvision_and_timm_are_read(folder, tmp_path, suffix):
  model = resnets.make((8, 8, 16, 16))
  renamed = {
    resnets.as_torchvision(name): x.contiguous()
    for name, x in model.state_dict().items()
  }
  path = tmp_path / f"resnet.{suffix}"
  if suffix == "pth":
    torch.save(renamed, path)
  else:
    safetensors.torch.save_file(renamed, path)
  found = region_encoder.load(f"pyramid:{path}").describe()
  expected = region_encoder.load(f"pyramid:{folder}").describe()
  assert found["folder"] == str(path)
  assert found | {"folder": None} == expected | {"folder": None}


def test_a_shared_model_brings_the_encoder(encoder, folder, tmp_path):
  features = encoder.describe()
  found = region_encoder.find(features, tmp_path)
  assert found == f"pyramid:{folder}"
  region_encoder.copy(found, tmp_path / region_encoder.FOLDER)
  brought = region_encoder.find(features, tmp_path)
  assert brought == f"pyramid:{tmp_path / region_encoder.FOLDER}"
  copied = region_encoder.load(brought)
  assert copied.describe() == features | {
    "folder": str(tmp_path / region_encoder.FOLDER)
  }
  np.testing.assert_array_equal(copied.absent(), encoder.absent())


def test_other_sources_are_refused(tmp_path):
  with pytest.raises(ValueError, match="nowhere: expected a ResNet's file or"):
    region_encoder.load("pyramid:nowhere")
  with pytest.raises(
    ValueError, match=r"expected model.safetensors or .*, got"
  ):
    region_encoder.load(f"pyramid:{tmp_path}")
  (tmp_path / "config.json").write_text('{"downsample_in_bottleneck": true}')
  with pytest.raises(
    ValueError, match="downsample_in_bottleneck: expected False, got True"
  ):
    region_encoder.load(f"pyramid:{tmp_path}")
  (tmp_path / "config.json").write_text('{"stage_dims": "x"}')
  with pytest.raises(ValueError, match="stage_dims"):
    region_encoder.load(f"pyramid:{tmp_path}")


def test_a_scene_begins_with_the_whole_picture(encoder):
  opened = picture(64, 48)
  listed = [
    {"box": [0, 0, 20 + i, 20], "score": 0.3 + 0.1 * i} for i in range(5)
  ]
  listed.append({"box": [0, 0, 9, 9], "score": 1.5})
  scene = scene_builder.make_scene(opened, read_list(listed, "x"), encoder)
  # HVPNeT's three objects by default.
  np.testing.assert_allclose(scene.scores, [1.5, 1.5, 0.7, 0.6], rtol=1e-6)
  assert scene.boxes[0].tolist() == [0, 0, 64, 48]
  crops = [opened, *(opened.crop((0, 0, x, y)) for x, y in ((9, 9), (24, 20)))]
  expected = encoder.encode(crops).astype(np.float16)
  np.testing.assert_array_equal(scene.features[:3], expected)
  alone = scene_builder.make_scene(opened, [], encoder)
  np.testing.assert_array_equal(alone.features, expected[:1])


def test_pictures_need_no_boxes(folder, tmp_path):
  tree = raw_tree.write_tree(
    tmp_path / "tree",
    [raw_tree.row(), raw_tree.row(img_id="b.jpg")],
    {"train/a.jpg": raw_tree.jpeg(64, 48)},
  )
  given = {"raw_dir": tree, "encoder": f"pyramid:{folder}", "parser": "chain"}
  out = str(tmp_path / "scenes")
  counts = splits.produce(splits.Settings(out=out, **given))
  assert counts["train"]["objects"] == counts["train"]["scenes"] == 1
  with pytest.raises(ValueError, match="a pyramid, got --scene_graphs"):
    splits.produce(
      splits.Settings(out=f"{out}2", scene_graphs=["x.json"], **given)
    )
