"""Keys of posts that are likely meant as others, or not read, are logged."""

import logging

import pytest
import tiny_systems

from ifa_jax.inference import seen_kinds
from ifa_jax.inference.predictor import Predictor

MODELS = tiny_systems.MODELS
POST = {"text": "<s> Ann </s> joins <o> Acme </o>"}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("name", "keys", "meant"),
  [
    ("mkgformer", ("picture",), [("picture", "image")]),
    ("mkgformer", ("Image", "box"), [("Image", "image")]),
    (
      "mkgformer",
      ("imgae", "bboxes"),
      [("imgae", "image"), ("bboxes", "boxes")],
    ),
    ("mkgformer", ("image", "picture"), []),
    ("mkgformer", ("image_base64", "picture"), []),
    ("mega", ("img_id", "Boxes"), [("img_id", "image"), ("Boxes", "boxes")]),
    ("mtb", ("picture", "captions"), []),
    ("caption", ("picture", "captions"), [("captions", "caption")]),
    ("caption", ("id", "label", 5), []),
  ],
)
def test_a_key_that_a_model_would_read(name, keys, meant):
  post = {**POST, **dict.fromkeys(keys, "x")}
  assert seen_kinds.likely_meant(post, MODELS[name]) == meant


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("name", "unread", "reads"),
  [
    (
      "mtb",
      {"image", "image_base64", "boxes", "caption"},
      "only the text",
    ),
    ("caption", {"boxes"}, "the text and the picture's caption"),
    ("mega", {"caption"}, "the text and objects in the picture"),
    (
      "mkgformer",
      {"caption"},
      "the text, the whole picture and objects in the picture",
    ),
  ],
)
def test_fields_that_a_model_does_not_read(name, unread, reads):
  run = MODELS[name], {"pictures", "objects", "captions"}
  assert {*seen_kinds.unread(*run)} == unread
  assert seen_kinds.in_words(*run) == reads


@pytest.mark.silent_input
def test_regions_are_not_read_by_a_run_without_scenes():
  run = MODELS["mega"], set()
  fields = {"image", "image_base64", "boxes", "caption"}
  assert {*seen_kinds.unread(*run)} == fields
  assert seen_kinds.in_words(*run) == "only the text"


@pytest.mark.silent_input
def test_a_field_that_is_not_read_is_logged_once(finished, posts, caplog):
  predictor = Predictor(finished.workdir)
  list(predictor.predict_all([posts[0] | {"caption": None}]))
  assert "no effect" not in caplog.text
  for _ in range(2):
    list(predictor.predict_all(posts[:2]))
    predictor.predict(posts[0])
  assert [x.message for x in caplog.records if "no effect" in x.message] == [
    "posts: 'caption' has no effect: the run reads the text, the whole picture"
    " and objects in the picture"
  ]


@pytest.mark.silent_input
def test_boxes_without_a_picture_are_logged_once(finished, posts, caplog):
  predictor = Predictor(finished.workdir)
  bare = {k: v for k, v in posts[0].items() if k not in ("image", "caption")}
  boxes = [{"box": [0, 0, 9, 9], "score": 1}]
  list(predictor.predict_all([bare | {"boxes": boxes}] * 2))
  (line,) = [x.message for x in caplog.records if "no effect" in x.message]
  assert line == "posts: 'boxes' has no effect without a picture"
  with pytest.raises(ValueError, match="boxes: expected a list"):
    predictor.predict(bare | {"boxes": "nonsense"})


@pytest.mark.silent_input
def test_predictions_warn_once(predictor, posts, caplog):
  named = [{**p, "picture": p["image"]} for p in posts[:3]]
  for post in named[:2]:
    del post["image"]
  with caplog.at_level(logging.WARNING):
    list(predictor.predict_all(named))
  lines = [x.message for x in caplog.records if "expected the key" in x.message]
  assert lines == [
    "posts: expected the key 'image', which the model reads, got 'picture' in"
    " its place, in 2 posts"
  ]
