"""Predictions of one's own posts: as in evaluation, one bad post at a time."""

import base64
import dataclasses
import json
import logging
import shutil

import jax
import numpy as np
import pytest
import tiny_run

from ifa_jax.data.images import decode
from ifa_jax.inference.images import Opener
from ifa_jax.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("fast_compilation")

POST = {"text": "Ann Lee joins Acme .", "head": "Ann Lee", "tail": "Acme"}


@pytest.fixture(scope="module", name="predicted")
def predictions_in_batches_of_5(predictor, posts):
  return list(predictor.predict_all(posts, batch_size=5))


def assert_close(found, wanted, atol):
  relations = list(wanted["probabilities"])
  assert list(found["probabilities"]) == relations
  np.testing.assert_allclose(
    *([x["probabilities"][r] for r in relations] for x in (found, wanted)),
    atol=atol,
  )


def test_posts_are_predicted_as_the_test_split_was(finished, posts, predicted):
  rows = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")
  for found, row in zip(predicted, rows, strict=True):
    assert found["id"] == row["id"]
    assert_close(found, row, atol=1e-5)
    assert found["relation"] == row["pred"]
    assert found["probability"] == pytest.approx(row["probability"], abs=1e-5)


def test_a_record_holds_the_post_and_all_probabilities(posts, predicted):
  for found, post in zip(predicted, posts, strict=True):
    kept = {key: value for key, value in post.items() if key != "boxes"}
    assert kept.items() <= found.items()
    assert set(found) - set(kept) == {
      "relation",
      "probability",
      "probabilities",
      "protocol",
    }
    assert found["protocol"] == "clean"
    best = max(found["probabilities"], key=found["probabilities"].get)
    assert found["relation"] == best
    assert found["probability"] == found["probabilities"][best]
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_the_batch_size_changes_nothing(
  predictor, posts, predicted, batch_size
):
  again = predictor.predict_all(posts, batch_size)
  for found, wanted in zip(again, predicted, strict=True):
    # The last of six digits may be rounded to either side.
    assert_close(found, wanted, atol=1.5e-6)


@pytest.mark.parametrize("left_out", ["boxes", "image"])
def test_what_is_left_out_of_a_post_is_not_looked_at(
  predictor, posts, predicted, left_out
):
  fewer = [{k: x for k, x in p.items() if k != left_out} for p in posts]
  found = list(predictor.predict_all(fewer, batch_size=5))
  gaps = [
    abs(record["probabilities"]["None"] - other["probabilities"]["None"])
    for record, other in zip(found, predicted, strict=True)
  ]
  assert max(gaps) > 1e-3


def test_boxes_count_by_their_score_and_the_picture_by_its_pixels(
  predictor, posts
):
  post = posts[0]
  shuffled = [*reversed(post["boxes"])]
  with open(post["image"], "rb") as file:
    in_memory = file.read()
  wanted = predictor.predict(post)
  for changes in ({"boxes": shuffled}, {"image": in_memory}):
    found = predictor.predict(post | changes)
    assert found["probabilities"] == wanted["probabilities"]


def test_a_post_is_predicted_by_itself(predictor, posts, predicted):
  assert_close(predictor.predict(posts[3]), predicted[3], atol=1.5e-6)
  with pytest.raises(ValueError, match="tail: 'Bob' does not occur"):
    predictor.predict(POST | {"tail": "Bob"})


def test_a_record_leaves_out_pictures_in_bytes(predictor, posts, predicted):
  """They are no JSON, or much of it; but an error's record needs all."""
  with open(posts[0]["image"], "rb") as file:
    content = file.read()
  text = base64.b64encode(content).decode()
  bare = {k: v for k, v in posts[0].items() if k != "image"}
  for picture in ({"image": content}, {"image_base64": text}):
    found = predictor.predict(bare | picture)
    assert found["probabilities"] == predicted[0]["probabilities"]
    assert not {"boxes", *picture} & {*found}
  bad = bare | {"image_base64": text, "text": ""}
  (failed,) = predictor.predict_all([bad])
  assert failed == bad | {"error": failed["error"]}


def test_a_marked_text_is_predicted_as_one_with_spans(predictor):
  marked = {"text": "<s>Ann Lee</s> joins <o>Acme</o> ."}
  found = predictor.predict(marked)
  assert found["probabilities"] == predictor.predict(POST)["probabilities"]
  assert (found["head"], found["tail"]) == ("Ann Lee", "Acme")
  assert predictor.predict(found) == found


def test_posts_in_a_row_open_the_picture_that_they_share_once(
  predictor, posts, predicted, monkeypatch
):
  opened = []

  def opening(source):
    opened.append(source)
    return open_picture(source)

  open_picture = decode.open_picture
  monkeypatch.setattr(decode, "open_picture", opening)
  first, second = posts[:2]
  other = first | {"boxes": first["boxes"][:1]}
  row = [first, first, other, second, first, POST, POST]
  found = list(predictor.predict_all(row, batch_size=2))
  paths = [first["image"], second["image"], first["image"]]
  assert sorted(opened) == sorted(paths)
  for record, wanted in zip(
    (found[0], found[1], found[3], found[4]),
    (predicted[0], predicted[0], predicted[1], predicted[0]),
    strict=True,
  ):
    assert_close(record, wanted, atol=1.5e-6)
  assert_close(found[2], predictor.predict(other), atol=1.5e-6)


def test_a_second_post_of_a_length_compiles_nothing(predictor, posts, caplog):
  predictor.predict(posts[0])
  caplog.clear()
  with jax.log_compiles():
    again = predictor.predict(posts[0])
    predictor.predict(posts[0] | {"image": posts[1]["image"]})
  assert not [x for x in caplog.messages if "ompil" in x]
  assert again["id"] == posts[0]["id"]


@pytest.mark.parametrize(
  ("left_out", "told"),
  [
    ((), []),
    (("boxes",), ["no post has boxes of objects, which the run was trained"]),
    (("image",), ["no post has a picture; the run was trained with pictures"]),
  ],
)
def test_a_line_tells_of_what_no_post_has(
  predictor, posts, caplog, left_out, told
):
  caplog.set_level(logging.INFO, "ifa_jax")
  # The model does not read captions, which has a line of its own.
  posts = [{k: x for k, x in p.items() if k != "caption"} for p in posts]
  fewer = [{k: x for k, x in p.items() if k not in left_out} for p in posts]
  list(predictor.predict_all(fewer))
  assert len(caplog.messages) == len(told)
  assert all(map(str.startswith, caplog.messages, told))
  caplog.clear()
  # Where one has it, those that have not are as their writer wants them.
  list(predictor.predict_all([*fewer, posts[0]]))
  assert caplog.messages == []


def test_a_model_that_diverged_is_told(predictor, monkeypatch):
  def diverged(batch):
    return np.full((len(batch.input_ids), 10), np.nan)

  monkeypatch.setattr(predictor, "_step", diverged)
  with pytest.raises(ValueError, match="training has diverged"):
    predictor.predict(POST)


def test_the_run_needs_no_dataset(finished, predictor, tmp_path):
  moved = tmp_path / "elsewhere"
  shutil.copytree(finished.workdir, moved)
  record = json.loads((moved / "config.json").read_text())
  record["config"]["data"]["data_dir"] = "gone"
  (moved / "config.json").write_text(json.dumps(record))
  assert Predictor(moved).predict(POST) == predictor.predict(POST)


def test_a_record_may_be_predicted_again(predictor):
  failed = next(predictor.predict_all([POST | {"tail": "Bob"}]))
  assert next(predictor.predict_all([failed])) == failed
  corrected = failed | {"tail": "Acme"}
  (found,) = predictor.predict_all([corrected])
  earlier = {"given": {"error": failed["error"]}}
  assert found == predictor.predict(POST) | earlier
  assert predictor.predict(corrected) == found


@pytest.mark.silent_input
def test_words_that_the_tokenizer_does_not_know_are_counted(predictor, caplog):
  assert len([*predictor.predict_all([POST])]) == 1
  assert "unknown" not in caplog.text
  thai = {"text": "สวัสดี ครับ Ann Acme", "head": "Ann", "tail": "Acme"}
  assert len([*predictor.predict_all([thai, thai])]) == 2
  assert "4 of 8 words of the posts are unknown" in caplog.text


@pytest.mark.silent_input
def test_pictures_are_squashed_as_the_model_was_trained(predictor, posts):
  reader, post = predictor.reader, posts[0]
  vision = dataclasses.replace(reader.model.vision, resize="squash")
  model = dataclasses.replace(reader.model, vision=vision)
  squashing = dataclasses.replace(reader, model=model)
  picture = decode.open_picture(post["image"]).resize((200, 100))
  post = post | {"image": decode.encode_png(np.asarray(picture)), "boxes": []}
  for found, resize in ((reader, "fit"), (squashing, "squash")):
    expected = decode.fit(picture, 32, resize)
    np.testing.assert_array_equal(found.read(post).squares["image"], [expected])
    square = found.read_square(post, Opener())
    np.testing.assert_array_equal(square, expected)


@pytest.mark.silent_input
def test_a_posts_own_answer_comes_back_under_given(predictor):
  own = {"relation": "mine", "probability": "high", "protocol": "x"}
  found = predictor.predict(POST | own)
  assert found == predictor.predict(POST) | {"given": own}
  assert predictor.predict(found) == found
  (failed,) = predictor.predict_all([found | {"tail": "Bob"}])
  error = "tail: 'Bob' does not occur in the text"
  assert failed == POST | {"tail": "Bob", "given": own, "error": error}
