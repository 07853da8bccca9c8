"""Boxes of posts: their own, those of a file, those that a finder finds."""

import io
import json
import logging
import shutil

import pytest
from PIL import Image

from ifa_jax.inference import completion
from ifa_jax.inference.choose import Choice
from ifa_jax.inference.completion import listed_boxes
from ifa_jax.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("fast_compilation")


class FakeFinder:
  """Finds given boxes, by the size and the first pixel of pictures."""

  def __init__(self, found):
    self.found = found
    self.asked = []

  def find(self, pictures, names):
    assert len(pictures) == len(names) <= 4
    self.asked += [tuple(asked) for asked in names]
    return [self.found[key_of(picture)] for picture in pictures]


def key_of(picture):
  assert picture.mode == "RGB"
  return picture.tobytes()


def without(posts, key):
  return [{k: v for k, v in post.items() if k != key} for post in posts]


@pytest.fixture(name="finder")
def finder_of_the_boxes_file(posts):
  from ifa_jax.data.images.decode import open_picture

  return FakeFinder(
    {key_of(open_picture(post["image"])): post["boxes"] for post in posts}
  )


def test_found_boxes_count_as_given_ones(finished, predictor, finder, posts):
  own = Predictor(finished.workdir, finder)
  found = list(own.predict_all(without(posts, "boxes"), batch_size=5))
  for record, post in zip(found, predictor.predict_all(posts, 5), strict=True):
    assert record == post
  assert finder.asked == [(post["head"], post["tail"]) for post in posts]
  bare = without(posts, "boxes")[0]
  assert own.complete(bare) == posts[0]
  assert own.predict(bare) == predictor.predict(posts[0])


def test_a_finder_is_not_asked_where_nothing_is_to_be_found(
  finished, finder, posts
):
  predictor = Predictor(finished.workdir, finder)
  given = posts[0] | {"boxes": []}
  bare = without(posts[:1], "image")[0]
  bad = without(posts[:1], "boxes")[0] | {"head_span": None, "head": "nobody"}
  gone = without(posts[:1], "boxes")[0] | {"image": "gone.jpg"}
  for post in (given, bare, bad, gone):
    assert predictor.complete(post) is post
  assert finder.asked == []
  asked = without(posts, "boxes")[1]
  found = list(predictor.predict_all([bad, asked, gone, given]))
  assert "does not occur" in found[0]["error"]
  assert found[1]["relation"] == predictor.predict(posts[1])["relation"]
  assert "gone.jpg: there is no such file" in found[2]["error"]
  assert len(finder.asked) == 1


def test_a_finder_is_asked_once_for_the_names_of_all_entities(
  finished, predictor, finder, posts
):
  text, image = "Ann Lee, of Acme, joins Ann Lee", posts[0]["image"]
  entities = [
    {"start": start, "end": end} for start, end in ((0, 7), (12, 16), (24, 31))
  ]
  asked = {"text": text, "entities": entities, "image": image}
  # A name's box is that of each pair with the name.
  boxes = [{"box": [0, 0, 9, 9], "score": 0.9, "phrase": "Acme"}]
  finder.found = dict.fromkeys(finder.found, boxes)
  choice = Choice(probabilities=True)
  found = Predictor(finished.workdir, finder).predict(asked, choice)
  assert found == predictor.predict(asked | {"boxes": boxes}, choice)
  assert found != predictor.predict(asked, choice)
  assert finder.asked == [("Ann Lee", "Acme")]


def test_a_finder_that_finds_nothing_is_believed(
  finished, finder, posts, caplog
):
  caplog.set_level(logging.INFO, "ifa_jax")
  finder.found = {picture: [] for picture in finder.found}
  predictor = Predictor(finished.workdir, finder)
  (bare,) = without(without(posts[:1], "boxes"), "caption")
  (found,) = predictor.predict_all([bare])
  assert caplog.messages == []
  assert found == predictor.predict(bare | {"boxes": []})


def test_names_are_asked_for_only_where_they_count(finder, posts):
  bare = without(posts[:6], "boxes")
  completed = list(completion.find_boxes(bare, finder, grounds=False))
  assert [post["boxes"] for post in completed] == [
    p["boxes"] for p in posts[:6]
  ]
  assert finder.asked == [()] * 6


@pytest.mark.silent_input
@pytest.mark.parametrize("edges", [[0.1, 0.1, 0.6, 0.8], [0, 0, 1, 1]])
def test_boxes_in_parts_of_a_picture_are_refused(
  predictor, posts, edges, tmp_path
):
  entries = [{"box": edges, "score": 0.5}]
  with pytest.raises(ValueError, match="boxes, box 0: expected pixels of"):
    predictor.predict(posts[0] | {"boxes": entries})
  path = tmp_path / "boxes.json"
  path.write_text(json.dumps({"a.jpg": entries}))
  with pytest.raises(ValueError, match=r"'a\.jpg', box 0: expected pixels"):
    listed_boxes(path)


@pytest.mark.silent_input
def test_a_box_of_a_photo_as_stored_is_refused(predictor, posts):
  photo = Image.new("RGB", (100, 40))
  exif = photo.getexif()
  exif[0x0112] = 6  # Turned by 90 degrees.
  file = io.BytesIO()
  photo.save(file, "JPEG", exif=exif)
  post = posts[0] | {"image": file.getvalue()}
  stored, upright = (
    [{"box": edges, "score": 1}] for edges in ([10, 5, 90, 35], [5, 10, 35, 90])
  )
  with pytest.raises(ValueError, match="expected pixels of the upright pict"):
    predictor.predict(post | {"boxes": stored})
  assert predictor.predict(post | {"boxes": upright})["relation"]


@pytest.mark.silent_input
def test_a_phrase_spelt_otherwise_is_a_grounded_box(predictor, posts):
  found = []
  for phrase in (posts[0]["head"], f"{posts[0]['head'].upper()}. "):
    listed = [{"box": [0, 0, 9, 9], "score": 0.5, "phrase": phrase}]
    example = predictor.reader.read(posts[0] | {"boxes": listed})
    found.append(example.boxes["grounded"])
  assert found == [[(0, 0, 9, 9)]] * 2


@pytest.mark.silent_input
def test_a_released_run_says_that_it_reads_the_number_of_boxes(
  finished, tmp_path, caplog
):
  Predictor(finished.workdir)
  assert caplog.messages == []
  folder = tmp_path / "run"
  shutil.copytree(finished.workdir, folder)
  record = json.loads((folder / "config.json").read_text())
  record["dataset"]["protocol"] = "released"
  (folder / "config.json").write_text(json.dumps(record))
  Predictor(folder)
  (message,) = caplog.messages
  assert "reads the number of boxes" in message
  assert message.startswith(f"{folder}: protocol released")
