"""Captions of tiny models against transformers called by hand."""

import captioners
import detectors
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from ifa_jax.detection.captioner import Captioner

pytestmark = pytest.mark.slow

PROMPT = "thing7 of a"
SOURCES = {
  "blip": captioners.write_blip,
  "encoder_decoder": captioners.write_encoder_decoder,
  "llava": captioners.write_llava,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """Folder of each model, by name."""
  root = tmp_path_factory.mktemp("models")
  return {name: write(root / name) for name, write in SOURCES.items()}


@pytest.fixture(scope="module")
def opened():
  """Pictures of two sizes."""
  rng = np.random.default_rng(0)
  return [
    Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(size)
    for size in ((40, 30), (24, 30), (40, 30), (40, 30), (24, 30))
  ]


def blip_by_hand(folder, picture, prompt):
  processor = transformers.BlipProcessor.from_pretrained(folder)
  processor.image_processor = transformers.BlipImageProcessorPil(
    size=captioners.SQUARE
  )
  model = transformers.BlipForConditionalGeneration.from_pretrained(folder)
  inputs = processor(images=picture, text=prompt, return_tensors="pt")
  tokens = model.generate(**inputs, max_new_tokens=6, do_sample=False)
  return processor.decode(tokens[0], skip_special_tokens=True)


def encoder_decoder_by_hand(folder, picture, prompt):
  pictures = transformers.ViTImageProcessorPil(size=captioners.SQUARE)
  tokenizer = captioners.make_tokenizer()
  model = transformers.VisionEncoderDecoderModel.from_pretrained(folder)
  pixels = pictures(picture, return_tensors="pt").pixel_values
  tokens = model.generate(pixels, max_new_tokens=6, do_sample=False)
  return tokenizer.decode(tokens[0], skip_special_tokens=True)


def llava_by_hand(folder, picture, prompt):
  processor = transformers.LlavaProcessor.from_pretrained(folder)
  processor.image_processor = transformers.CLIPImageProcessorPil(
    size={"shortest_edge": captioners.SIDE}, crop_size=captioners.SQUARE
  )
  model = transformers.LlavaForConditionalGeneration.from_pretrained(folder)
  text = f"<image> {prompt}"
  inputs = processor(images=picture, text=text, return_tensors="pt")
  tokens = model.generate(**inputs, max_new_tokens=6, do_sample=False)
  written = tokens[0, inputs.input_ids.shape[1] :]
  return processor.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize(
  ("name", "prompt", "by_hand"),
  [
    ("blip", None, blip_by_hand),
    ("blip", PROMPT, blip_by_hand),
    ("encoder_decoder", None, encoder_decoder_by_hand),
    ("llava", PROMPT, llava_by_hand),
  ],
)
def test_captions_are_those_of_transformers(
  folders, opened, name, prompt, by_hand
):
  folder = folders[name]
  expected = [by_hand(folder, picture, prompt) for picture in opened]
  if name == "blip" and prompt:
    # BLIP repeats its prompt.
    assert all(text.startswith(prompt) for text in expected)
    expected = [text.removeprefix(prompt).strip() for text in expected]
  assert len({*expected}) > 1
  for batch_size in (1, 3):
    made = Captioner(folder, prompt=prompt, max_tokens=6, batch_size=batch_size)
    assert made.caption(opened) == expected
  assert made.caption([]) == []


def test_settings_name_all_that_captions_depend_on(folders, tmp_path):
  made = Captioner(folders["llava"], prompt=PROMPT, dtype="bfloat16")
  settings = made.settings()
  assert settings["prompt"] == PROMPT
  assert (settings["max_tokens"], settings["dtype"]) == (60, "bfloat16")
  moved = Captioner(captioners.write_llava(tmp_path / "m"), prompt=PROMPT)
  assert moved.settings()["model"]["sha256"] == settings["model"]["sha256"]
  (tmp_path / "m" / "chat_template.jinja").write_text("other")
  assert moved.settings()["model"]["sha256"] != settings["model"]["sha256"]
  weights = {x.dtype for x in made._model.parameters()}
  assert weights == {torch.bfloat16}


def test_prompts_that_a_model_lacks_or_cannot_read(folders):
  with pytest.raises(ValueError, match="expected a prompt, as for any"):
    Captioner(folders["llava"])
  with pytest.raises(ValueError, match=r"expected no prompt, .* got 'what'"):
    Captioner(folders["encoder_decoder"], prompt="what")


def test_a_prompt_that_the_model_cannot_use_gives_one_line(tmp_path, opened):
  folder = tmp_path / "llava"
  captioners.write_llava(folder)
  (folder / "chat_template.jinja").unlink()
  # Without a template, the prompt must name the place of the picture.
  made = Captioner(str(folder), prompt=PROMPT)
  with pytest.raises(ValueError, match="llava: expected a model that reads"):
    made.caption(opened)
  placed = Captioner(str(folder), prompt=f"<image> {PROMPT}")
  assert len(placed.caption(opened)) == len(opened)


def test_pictures_of_any_shape_have_captions(folders):
  made = Captioner(folders["blip"], max_tokens=2, batch_size=3)
  sizes = [(1, 1), (3, 50), (9000, 2), (50, 3), (1, 90)]
  found = made.caption([Image.new("RGB", size) for size in sizes])
  assert [bool(caption) for caption in found] == [True, True, False, True, True]


def test_models_that_cannot_be_loaded_are_refused(folders, tmp_path):
  detector = detectors.write_detector(tmp_path / "detector")
  with pytest.raises(ValueError, match="expected a model for image-text-to-te"):
    Captioner(detector)
  folder = captioners.write_blip(tmp_path / "damaged")
  (tmp_path / "damaged" / "model.safetensors").write_bytes(b"x" * 100)
  with pytest.raises(ValueError, match="damaged: no model for image-text-to-"):
    Captioner(folder)
