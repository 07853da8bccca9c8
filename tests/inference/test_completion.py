"""Files of boxes and of captions serve pictures by their file names."""

import json

import own_runs
import pytest
import tiny_run
import tiny_systems

from ifa_jax import predict
from ifa_jax.inference.completion import listed_boxes, listed_captions
from ifa_jax.inference.predictor import Predictor

VALUES = {
  "boxes": [{"box": [0, 0, 9, 9], "score": 0.5}],
  "caption": "a cat on a mat",
}


def listed(folder, field, pictures):
  path = folder / f"{field}.json"
  path.write_text(json.dumps(pictures))
  return (
    listed_boxes(path) if field == "boxes" else listed_captions([str(path)])
  )


@pytest.mark.parametrize("field", VALUES)
def test_a_post_without_a_value_gets_that_of_its_picture(tmp_path, field):
  value = VALUES[field]
  found = listed(tmp_path, field, {"a.jpg": value})
  assert found.name == f"{field}.json"
  for image in ("a.jpg", "x/y/a.jpg", tmp_path / "a.jpg"):
    assert found.complete({"image": image}) == {"image": image, field: value}
  for post in (
    # Its own, even if empty.
    {"image": "a.jpg", field: value[:0]},
    {"image": "b.jpg"},
    {"image": b"a.jpg"},
    {"text": "a.jpg"},
  ):
    assert found.complete(post) is post


@pytest.mark.silent_input
@pytest.mark.parametrize("field", VALUES)
def test_a_file_of_other_pictures_is_told(tmp_path, caplog, field):
  value = VALUES[field]
  found = listed(tmp_path, field, {"img/a.jpg": value})
  found.warn_unused()
  found.complete({"image": "x/a.jpg", field: value})
  found.warn_unused()
  assert caplog.messages == []
  found.complete({"image": "x/a.jpg"})
  found.warn_unused()
  (message,) = caplog.messages
  assert f"{field}.json: lists the picture of no post" in message
  assert message.endswith("got 'img/a.jpg'")


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("boxes", [{"box": [0, 0, 9], "score": 1}], "picture 'a.jpg', box 0"),
    ("caption", 5, "expected a caption of 'a.jpg', got 5"),
  ],
)
def test_a_malformed_file_is_refused_at_once(tmp_path, field, value, message):
  with pytest.raises(ValueError, match=rf"{field}\.json: {message}"):
    listed(tmp_path, field, {"a.jpg": value})


@pytest.mark.silent_input
def test_two_captions_of_a_picture_are_an_error_of_the_post_that_shows_it(
  data_dir, posts, tmp_path
):
  paths = [tmp_path / "1.json", tmp_path / "2.json"]
  for path in paths:
    path.write_text(json.dumps({"a.jpg": path.name, "b.jpg": "a dog"}))
  found = listed_captions([*map(str, paths)])
  bare = {k: v for k, v in posts[0].items() if k not in ("image", "caption")}
  shown = [found.complete({**bare, "image": x}) for x in ("b.jpg", "a.jpg")]
  built = tiny_systems.build("caption", data_dir)
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  first, second = Predictor(tmp_path / "run").predict_all(shown)
  assert (first["caption"], "relation" in first) == ("a dog", True)
  assert second["error"] == (
    "caption: expected one text, got ['1.json', '2.json']"
  )


@pytest.mark.parametrize("name", ["caption", "ifaformer_caption"])
def test_posts_of_a_file_get_their_captions(
  name, data_dir, raw_dir, posts, tmp_path, caplog
):
  built = tiny_systems.build(name, data_dir)
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  predictor = Predictor(tmp_path / "run")
  posts = [{k: v for k, v in post.items() if k != "boxes"} for post in posts]
  bare = [{k: v for k, v in post.items() if k != "caption"} for post in posts]
  source, target = tmp_path / "posts.jsonl", tmp_path / "out.jsonl"
  source.write_text("\n".join(map(json.dumps, bare)))
  captions = listed_captions([str(raw_dir / "captions.json")])
  files = (str(source), str(target))
  count = predict.predict_file(predictor, *files, 5, [captions])
  assert count == (len(posts), 0)
  wanted = list(predictor.predict_all(posts, 5))
  assert tiny_run.read_lines(target) == wanted
  assert caplog.messages == []
  without = list(predictor.predict_all(bare, 5))
  assert all(
    found["probabilities"] != other["probabilities"]
    for found, other in zip(wanted, without, strict=True)
  )
