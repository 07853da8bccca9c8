"""Image files to pixels: formats, sizes, crops, and errors."""

import numpy as np
import pytest
import raw_tree
from odd_pictures import encoded
from PIL import Image
from transformers.models.clip import image_processing_pil_clip

from ifa_jax.data.images import decode

RED, WHITE = (255, 0, 0), (255, 255, 255)


def noise(width, height, seed=0):
  rng = np.random.default_rng(seed)
  return Image.fromarray(
    rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
  )


@pytest.mark.parametrize("size", [224, 64])
@pytest.mark.parametrize(
  "shape", [(50, 30), (301, 777), (640, 427), (1, 1), (1, 40), (900, 3), (7, 5)]
)
def test_fit_is_the_clip_image_processor(shape, size):
  """On noise, where each difference in geometry shows."""
  picture = noise(*shape)
  processor = image_processing_pil_clip.CLIPImageProcessorPil(
    size={"shortest_edge": size},
    crop_size={"height": size, "width": size},
    do_rescale=False,
    do_normalize=False,
  )
  values = processor(picture, return_tensors="np")["pixel_values"][0]
  wanted = np.asarray(values).transpose(1, 2, 0)
  found = decode.fit(picture, size)
  assert (found.shape, found.dtype) == ((size, size, 3), np.uint8)
  assert np.abs(wanted.astype(int) - found).max() <= 1


def test_a_very_thin_picture_is_fitted_without_its_length():
  """All of it at this scale would take 9 gigabytes."""
  square = decode.fit(Image.new("RGB", (1, 60_000), RED), 224)
  assert (square == RED).all()


def test_exif_orientation_is_applied():
  picture = Image.new("RGB", (40, 20), WHITE)
  exif = picture.getexif()
  exif[0x0112] = 6  # Turned by 90 degrees.
  assert decode.open_picture(encoded(picture, "JPEG", exif=exif)).size == (
    20,
    40,
  )


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_rgb(mode):
  kind = "JPEG" if mode == "CMYK" else "PNG"
  white = Image.new("RGB", (8, 8), "white")
  picture = (
    Image.fromarray(np.full((8, 8), 65535, np.uint16))
    if mode == "I;16"
    else white.convert(mode)
  )
  opened = decode.open_picture(encoded(picture, kind))
  assert opened.mode == "RGB"
  assert (np.asarray(opened) >= 254).all()


def test_16_bits_are_scaled_not_clipped():
  ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
  opened = decode.open_picture(encoded(Image.fromarray(ramp)))
  grey = np.asarray(opened)[..., 0].ravel()
  assert (grey == np.arange(256)).all()


def test_transparency_is_laid_on_white():
  clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
  assert decode.open_picture(encoded(clear)).getpixel((0, 0)) == WHITE
  palette = Image.new("P", (4, 4), 0)
  palette.putpalette([0, 0, 0, 255, 0, 0])
  opened = decode.open_picture(encoded(palette, "GIF", transparency=0))
  assert opened.getpixel((0, 0)) == WHITE


def test_the_first_frame_of_an_animation_counts():
  frames = [Image.new("RGB", (4, 4), c) for c in (RED, WHITE)]
  animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
  assert decode.open_picture(animation).getpixel((0, 0)) == RED


GOOD = raw_tree.jpeg()


@pytest.mark.parametrize(
  ("content", "reason"),
  [
    (b"", "not a picture"),
    (b"\xff\xd8\xff not a jpeg", "not a picture|unreadable"),
    (GOOD[: len(GOOD) // 2], "unreadable picture .*truncated"),
    (encoded(noise(40, 40))[:400], "unreadable picture"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
  ],
)
def test_broken_files_are_named_with_the_reason(content, reason, tmp_path):
  path = tmp_path / "broken.jpg"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=reason) as error:
    decode.open_picture(path)
  assert str(error.value).startswith(str(path))
  assert "\n" not in str(error.value)
  with pytest.raises(ValueError, match=f"picture of {len(content)} bytes"):
    decode.open_picture(content)


def test_an_absent_file_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"gone\.jpg: there is no such file"):
    decode.open_picture(tmp_path / "gone.jpg")


def test_a_decompression_bomb_is_refused_by_its_header():
  bomb = encoded(Image.new("1", (8001, 8000)))
  assert len(bomb) < 100_000
  with pytest.raises(ValueError, match="at most 64000000 pixels, got 8001 x"):
    decode.open_picture(bomb)


def test_cut_keeps_the_pixels_that_the_box_touches():
  picture = noise(10, 8)
  pixels = np.asarray(picture)
  for box, (x, y) in {
    (2, 1, 5, 4): (slice(2, 5), slice(1, 4)),
    (2.4, 1.9, 4.1, 3.2): (slice(2, 5), slice(1, 4)),
    (-5, -5, 3, 99): (slice(0, 3), slice(0, 8)),
  }.items():
    assert (np.asarray(decode.cut(picture, box)) == pixels[y, x]).all(), box


@pytest.mark.parametrize(
  "box",
  [
    (3, 3, 3, 5),
    (5, 3, 3, 5),
    (10, 0, 12, 4),
    (-4, 0, 0, 4),
    (0, 0, float("nan"), 4),
    (0, 0, float("inf"), 4),
  ],
)
def test_cut_refuses_empty_boxes(box):
  with pytest.raises(ValueError, match=r"expected (finite numbers|a part of)"):
    decode.cut(noise(10, 8), box)


def test_png_keeps_every_pixel():
  square = np.asarray(noise(16, 16))
  opened = decode.open_picture(decode.encode_png(square))
  assert (np.asarray(opened) == square).all()
  assert (decode.grey(3) == 128).all()
  assert decode.grey(3).shape == (3, 3, 3)


def turned(width, height, orientation):
  """Returns a photo as a camera stores it, opened upright."""
  picture = Image.new("RGB", (width, height), RED)
  exif = picture.getexif()
  exif[0x0112] = orientation
  return decode.open_picture(encoded(picture, "JPEG", exif=exif))


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("orientation", "box"),
  [
    (6, (10, 5, 90, 35)),  # Reaches beyond the upright picture.
    (8, (50, 5, 90, 35)),  # Next to it.
    (5, (0, 0, 100.5, 40)),  # And a bit over the stored one.
  ],
)
def test_a_box_of_the_stored_frame_is_refused(orientation, box):
  message = "of the upright picture, 40 x 100, got .* as stored, 100 x 40"
  with pytest.raises(ValueError, match=message) as error:
    decode.cut(turned(100, 40, orientation), box)
  assert "\n" not in str(error.value)


@pytest.mark.silent_input
def test_a_box_of_the_upright_frame_is_cut():
  opened = turned(100, 40, 6)
  assert decode.cut(opened, (5, 10, 35, 90)).size == (30, 80)
  # As far over the edge as detectors are off.
  assert decode.cut(opened, (5, 10, 41, 102)).size == (35, 90)
  # Fits neither orientation: clipped, as in any picture.
  assert decode.cut(opened, (5, 10, 400, 400)).size == (35, 90)
  assert decode.cut(turned(100, 40, 3), (10, 5, 90, 35)).size == (80, 30)
