"""Keys of posts that are likely meant as others get a warning."""

import logging

import pytest
import tiny_systems

from ifa_jax.inference import seen_kinds

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
def test_predictions_warn_once(predictor, posts, caplog):
  named = [{**p, "picture": p["image"]} for p in posts[:3]]
  for post in named[:2]:
    del post["image"]
  with caplog.at_level(logging.WARNING):
    list(predictor.predict_all(named))
  lines = [x.message for x in caplog.records if "expected the key" in x.message]
  assert lines == [
    "posts: expected the key 'image', which the model reads, got 'picture' in"
    " its place, 2 times"
  ]
