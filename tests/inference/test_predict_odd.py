"""Posts as people write them, with files as people have them, predicted."""

import base64

import numpy as np
import odd_pictures
import pytest

pytestmark = pytest.mark.usefixtures("fast_compilation")

POST = {"text": "Ann Lee joins Acme .", "head": "Ann Lee", "tail": "Acme"}
FAR = "far and wide " * 1_666


def probabilities(predictor, **changes):
  found = predictor.predict(POST | changes)
  values = np.array([*found["probabilities"].values()])
  assert values.sum() == pytest.approx(1, abs=1e-5)
  assert found["probability"] == values.max()
  return values


@pytest.mark.parametrize("name", odd_pictures.EQUAL)
def test_an_odd_file_counts_as_what_it_shows(predictor, name):
  odd, plain = odd_pictures.EQUAL[name]
  found = probabilities(predictor, image=odd)
  np.testing.assert_allclose(
    found, probabilities(predictor, image=plain), atol=2e-6
  )
  # A picture counts at all.
  assert abs(found - probabilities(predictor)).max() > 1e-3


@pytest.mark.parametrize("name", odd_pictures.BAD)
@pytest.mark.parametrize("form", ["file", "bytes", "base64"])
def test_a_file_that_is_no_picture_is_refused(predictor, name, form, tmp_path):
  content, reason = odd_pictures.BAD[name]
  path = tmp_path / "a.jpg"
  path.write_bytes(content)
  image = {
    "file": {"image": str(path)},
    "bytes": {"image": content},
    "base64": {"image_base64": base64.b64encode(content).decode()},
  }
  named = "a\\.jpg" if form == "file" else f"picture of {len(content)} bytes"
  with pytest.raises(ValueError, match=f"{named}: .*{reason}") as error:
    predictor.predict(POST | image[form])
  assert "\n" not in str(error.value)
  assert len(str(error.value)) < 200 + len(str(path))


def test_bytes_and_base64_are_as_the_file(predictor, tmp_path, monkeypatch):
  content = odd_pictures.encoded(odd_pictures.blocks(7))
  (tmp_path / "a.png").write_bytes(content)
  wanted = probabilities(predictor, image=content)
  text = base64.b64encode(content).decode()
  # Paths are relative to the working directory.
  monkeypatch.chdir(tmp_path)
  for changes in (
    {"image": "a.png"},
    {"image": tmp_path / "a.png"},
    {"image_base64": text},
    {"image_base64": f"data:image/png;base64,{text[:50]}\n{text[50:]}"},
  ):
    found = probabilities(predictor, **changes)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"image": "https://x.org/a.jpg"}, "URL 'https://x.org/a.jpg'; downl"),
    ({"image": "file:///etc/passwd"}, "the URL 'file:///etc/passwd'"),
    (
      {"image": "data:image/png;base64,aa"},
      "base64, which goes into image_base64",
    ),
    ({"image": ""}, "image: expected a file, got ''"),
    ({"image": "x" * 10_000}, "xxx: "),
    ({"image": {"a": "b" * 900}}, "image: expected a file, got {'a': 'bbb"),
    ({"image_base64": "a?"}, "image_base64: expected base64, got "),
    ({"image_base64": 5}, "image_base64: expected base64, got "),
    ({"image": "a.jpg", "image_base64": "aa"}, "instead of image, got both"),
  ],
)
def test_what_is_no_file_is_named(predictor, changes, message):
  with pytest.raises(ValueError, match=message.replace("?", "\\?")):
    predictor.predict(POST | changes)


@pytest.mark.parametrize(
  ("post", "names"),
  [
    (("😂 loves 🎉 a lot", "😂", "🎉"), ("😂", "🎉")),
    (("آن تنضم إلى أكمي.", "آن", "أكمي"), ("آن", "أكمي")),
    (("安娜加入了公司", "安娜加入了公司", "安娜加入了公司"), None),
    (("Ann\u200bLee at \ufeffAcme", "Lee", "Acme"), None),
    (("Acme", "Acme", "Acme"), ("Acme", "Acme")),
    (("e\u0301 " * 3 + "Ann at Acme", "Ann", "Acme"), ("Ann", "Acme")),
    (("\x00 Ann \x1b[31m at Acme", "Ann", "Acme"), ("Ann", "Acme")),
  ],
)
def test_any_script_is_read(predictor, post, names):
  post = dict(zip(("text", "head", "tail"), post, strict=True))
  found = predictor.predict(post)
  assert (found["head"], found["tail"]) == (
    names or (post["head"], post["tail"])
  )
  assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_of_10_000_words_those_around_the_entities_count(predictor):
  text = f"{FAR} {POST['text']} {FAR}"
  assert len(text.split()) == 10_000 + 1
  near = f"{FAR[-90:]} {POST['text']} {FAR[:90]}"
  np.testing.assert_allclose(
    probabilities(predictor, text=text),
    probabilities(predictor, text=near),
    atol=2e-6,
  )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"text": "\u200b"}, "head: 'Ann Lee' does not occur"),
    (
      {"text": "Ann Lee \ud83d at Acme"},
      "^text: expected Unicode, got the lone surrogate .* at character 8",
    ),
    (
      {"text": "x " * 200, "head": None, "tail": None}
      | {"head_span": [0, 150], "tail_span": [150, 200]},
      "^head, tail: the two entities take 200 word pieces, only 34 fit",
    ),
  ],
)
def test_what_cannot_be_read_is_named(predictor, changes, message):
  with pytest.raises(ValueError, match=message):
    predictor.predict(POST | changes)


def test_a_head_that_equals_the_tail_may_stand_once(predictor):
  once = probabilities(predictor, text="Ann at home", head="Ann", tail="Ann")
  with pytest.raises(ValueError, match="head: 'Ann' occurs 2 times"):
    predictor.predict({"text": "Ann is Ann", "head": "Ann", "tail": "Ann"})
  spans = {"head_span": [0, 1], "tail_span": [2, 3]}
  twice = probabilities(
    predictor, text="Ann is Ann", head="Ann", tail="Ann", **spans
  )
  assert abs(once - twice).max() > 1e-4
