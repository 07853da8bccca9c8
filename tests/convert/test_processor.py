"""Pixels equal those of the source's processor, or there is a note."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
import transformers
from PIL import Image
from transformers.models.bit.image_processing_pil_bit import (
  BitImageProcessorPil,
)
from transformers.models.clip.image_processing_pil_clip import (
  CLIPImageProcessorPil,
)
from transformers.models.vit.image_processing_pil_vit import (
  ViTImageProcessorPil,
)
from transformers.processing_utils import ImagesKwargs

from ifa_jax import models
from ifa_jax.convert.huggingface import processor
from ifa_jax.convert.huggingface.export import export_huggingface
from ifa_jax.convert.sources import Source
from ifa_jax.data.images import decode
from ifa_jax.models.config import VisionConfig

pytestmark = pytest.mark.silent_input

KINDS = {
  "CLIP": CLIPImageProcessorPil,
  "ViT": ViTImageProcessorPil,
  "Bit": BitImageProcessorPil,
}
OURS = {
  "size": {"shortest_edge": 224},
  "resample": 3,
  "do_center_crop": True,
  "crop_size": {"height": 224, "width": 224},
}


def noise(width, height):
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
  return Image.fromarray(pixels)


def read(tmp_path, kind="ViT", **files):
  """Reads a folder with some files, as of a CLIP or ViT of 224 pixels."""
  for name, content in files.items():
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
  found = Source("it", str(tmp_path))
  return processor.read(found, f"{kind}Model", VisionConfig())


def normalised(pixels, config):
  """Normalises pixels as `VisualEmbeddings` does."""
  return (pixels / 255 - config.image_mean) / np.array(config.image_std)


def test_the_table_has_every_key_of_an_image_processor():
  """A key of a later version fails here, until it is decided on."""
  unused = ImagesKwargs.__annotations__.keys() - processor.KEYS.keys()
  assert unused == {
    # Form of input and output.
    *("data_format", "input_data_format", "device", "return_tensors"),
    *("disable_grouping", "image_seq_length"),
    # All pictures are RGB, and do_pad makes a note.
    *("do_convert_rgb", "pad_size"),
  }


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_key_is_the_class_default(kind):
  theirs = json.loads(KINDS[kind]().to_json_string())
  ours = processor.read_steps(kind, {})
  read = processor.read_steps(kind, theirs)
  assert processor.statistics(ours) == processor.statistics(read)
  assert processor.geometry(ours) == processor.geometry(read)


@pytest.mark.parametrize(
  "given",
  [
    {},
    {"image_mean": 0.5, "image_std": 0.25},
    {"image_mean": [0.1, 0.2, 0.3]},
    {"do_normalize": False, "image_std": None},
    {"do_rescale": None, "do_normalize": None, "rescale_factor": None},
    {"do_rescale": False, "image_mean": 127.5, "image_std": 127.5},
    {"rescale_factor": 1 / 127.5},
    {"do_rescale": False, "do_normalize": False},
  ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_equal_the_processors(kind, given, tmp_path):
  """On a picture of the right size, which no processor resizes."""
  picture = noise(224, 224)
  theirs = KINDS[kind](**given)(picture, return_tensors="np")["pixel_values"]
  config, _ = read(tmp_path, kind, preprocessor_config=given)
  found = normalised(np.asarray(picture), config)
  want = theirs[0].transpose(1, 2, 0)
  np.testing.assert_allclose(found, want, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize(
  ("given", "theirs"),
  [
    ({"size": [224, 192]}, "resized to 192 x 224 (bilinear)"),
    ({"resample": 3}, "resized to 224 x 224 (bicubic)"),
    ({"do_resize": False}, "left as they are"),
    (
      OURS | {"resample": 2},
      "shortest_edge 224 (bilinear), cropped",
    ),
    (OURS | {"size": {"shortest_edge": 256}}, "resized to shortest_edge 256"),
    (OURS | {"crop_size": 192}, "cropped to the central 192 x 192"),
    (OURS | {"do_center_crop": None}, "resized to shortest_edge 224 (bicubic)"),
    (OURS | {"do_pad": True}, "cropped to the central 224 x 224, padded"),
  ],
)
def test_another_geometry_makes_one_note(given, theirs, tmp_path):
  (note,) = read(tmp_path, preprocessor_config=given)[1]
  ours, _, other = note.partition("; preprocessor_config.json has them ")
  assert ours.startswith("pictures are resized to shortest_edge 224 (bicubic)")
  assert theirs in other


@pytest.mark.parametrize(
  ("kind", "given"),
  [
    ("ViT", OURS),
    ("CLIP", {}),
    ("CLIP", {"size": 224, "crop_size": 224, "do_pad": None}),
    ("ViT", OURS | {"size": 224, "default_to_square": False}),
    ("ViT", {"feature_extractor_type": "CLIPFeatureExtractor"}),
  ],
)
def test_the_same_geometry_makes_no_note(kind, given, tmp_path):
  config, notes = read(tmp_path, kind, preprocessor_config=given)
  assert (config.resize, notes) == ("fit", [])


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("kind", "given"),
  [
    ("ViT", {}),
    ("ViT", {"size": [224, 224]}),
    ("CLIP", {"image_processor_type": "ViTImageProcessor"}),
  ],
)
def test_a_squash_is_kept_with_the_encoder(kind, given, tmp_path):
  config, notes = read(tmp_path, kind, preprocessor_config=given)
  assert (config.resize, notes) == ("squash", [])
  picture = noise(400, 200)
  theirs = KINDS["ViT"]()(picture, return_tensors="np")["pixel_values"][0]
  mean_of_vit = dataclasses.replace(
    config, image_mean=(0.5,) * 3, image_std=(0.5,) * 3
  )
  ours = normalised(decode.fit(picture, 224, config.resize), mean_of_vit)
  # A pixel may differ by 1.
  assert np.abs(theirs.transpose(1, 2, 0) - ours).max() < 1.01 / 255 / 0.5


def test_a_folder_without_a_processor(tmp_path):
  config, notes = read(tmp_path)
  assert config.image_mean == config.image_std == (0.5, 0.5, 0.5)
  (note,) = notes
  assert note.startswith(
    "no preprocessor_config.json: took ViT's usual mean (0.5"
  )
  assert config.resize == "squash"
  config, notes = read(tmp_path, "CLIP")
  assert config == VisionConfig()
  assert len(notes) == 1


DINOV2 = {
  "image_processor_type": "BitImageProcessor",
  "size": {"shortest_edge": 256},
  "crop_size": {"height": 112, "width": 112},
}


@pytest.mark.parametrize(
  ("changes", "side"),
  [
    ({}, 112),
    ({"crop_size": 98}, 98),
    ({"crop_size": {"height": 98, "width": 112}}, 224),
    ({"do_center_crop": False}, 224),
  ],
)
def test_dinov2_reads_pictures_of_the_processors_size(changes, side, tmp_path):
  given = DINOV2 | changes
  for kind, want in (("Dinov2", side), ("CLIP", 224)):
    config, notes = read(tmp_path, kind, preprocessor_config=given)
    assert config.image_size == want
    assert notes[0].startswith("pictures are resized to shortest_edge")


def test_dinov2_without_a_file_has_the_mean_of_imagenet(tmp_path):
  config, (note,) = read(tmp_path, "Dinov2")
  assert (config.image_size, config.image_mean[0]) == (224, 0.485)
  assert note.startswith("no preprocessor_config.json: took Dinov2's")


def test_a_processor_of_another_class_makes_a_note(tmp_path):
  given = OURS | {"image_processor_type": "DeiTImageProcessor"}
  (note,) = read(tmp_path, preprocessor_config=given)[1]
  assert note == "processor 'DeiTImageProcessor' is read as ViTImageProcessor"


def test_the_file_of_a_multimodal_model_has_precedence(tmp_path):
  files = {
    "preprocessor_config": {"image_mean": 0.1},
    "processor_config": {"image_processor": {"image_mean": 0.2}},
  }
  assert read(tmp_path, **files)[0].image_mean == (0.2, 0.2, 0.2)
  found = read(tmp_path, processor_config={"processor_class": "CLIPProcessor"})
  assert found[0].image_mean == (0.1, 0.1, 0.1)


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({"image_mean": [0.5]}, "image_mean: expected a number, or one for each"),
    ({"image_mean": "0.5"}, "image_mean: expected a number, or one for each"),
    ({"image_std": [0.5, 0, 0.5]}, "image_std: expected numbers above 0"),
    ({"resample": "bicubic"}, "resample: expected a filter of PIL, 0 to 5"),
    ({"do_resize": "no"}, "do_resize: expected true or false, got 'no'"),
    ({"size": {"height": "224"}}, "size: expected a whole number from 1"),
    (
      {"image_std": None},
      "image_std: expected a value for do_normalize, got N",
    ),
    ({"size": None}, "size: expected a value for do_resize, got None"),
    ({"rescale_factor": 0}, "rescale_factor: expected a number above 0, got 0"),
  ],
)
def test_a_wrong_value_is_named_with_its_file(given, message, tmp_path):
  where = f"{tmp_path}/preprocessor_config.json: "
  with pytest.raises(ValueError, match="expected") as caught:
    read(tmp_path, preprocessor_config=given)
  assert str(caught.value).startswith(where + message)


def test_an_image_processor_that_is_no_object(tmp_path):
  message = r"processor_config\.json: image_processor: expected an object, got"
  with pytest.raises(ValueError, match=message):
    read(tmp_path, processor_config={"image_processor": None})


@pytest.mark.parametrize("resize", ["fit", "squash"])
@pytest.mark.parametrize("kind", ["CLIPVisionModel", "ViTModel"])
def test_an_exported_processor_resizes_as_the_dataset(kind, resize, tmp_path):
  """On a picture of 2 : 1, which a squash distorts."""
  config = tiny.tiny_config()
  is_vit = kind == "ViTModel"
  vision = dataclasses.replace(
    config.vision, patch_bias=is_vit, pre_norm=not is_vit, resize=resize
  )
  config = models.replace(config, vision=vision)
  export_huggingface(tmp_path / "out", config, tiny.perturbed_params(config))
  folder = tmp_path / "out" / "vision"
  theirs = transformers.AutoImageProcessor.from_pretrained(
    folder, backend="pil"
  )
  picture = noise(400, 200)
  got = theirs(picture, return_tensors="np")["pixel_values"][0]
  square = decode.fit(picture, vision.image_size, resize)
  # A pixel may differ by 1.
  bound = 1.01 / 255 / min(vision.image_std)
  want = normalised(square, vision)
  assert np.abs(got.transpose(1, 2, 0) - want).max() < bound
  found, notes = processor.read(Source("it", str(folder)), kind, vision)
  assert (found.resize, notes) == (resize, [])
