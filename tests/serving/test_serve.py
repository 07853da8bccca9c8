"""The answers of the page, without the page: boxes, pictures, HTML."""

import html.parser
import io
import json
import os

import numpy as np
import own_runs
import pytest
import tiny_run
import tiny_systems
from PIL import Image

from ifa_jax.inference.completion import listed_boxes
from ifa_jax.inference.post import read_post
from ifa_jax.inference.predictor import Predictor
from ifa_jax.serving import answers, view
from ifa_jax.serving.answers import Answerer, Form, read_form
from ifa_jax.serving.samples import make_samples

pytestmark = pytest.mark.usefixtures("fast_compilation")

FOUND = [{"box": [5, 10, 60, 90], "score": 0.4, "label": "<i>cat</i>"}]
SCRIPT = "<script>document.title='x'</script>"


class Finder:
  """Finds the same in every picture."""

  def find(self, pictures, names):
    del names
    return [FOUND] * len(pictures)


@pytest.fixture(scope="module", name="predictor")
def predictor_with_a_finder(finished, fast_compilation):
  return Predictor(finished.workdir, Finder())


@pytest.fixture(scope="module", name="samples")
def samples_to_click_on():
  return make_samples()


@pytest.fixture(scope="module", name="answerer")
def answerer_with_all_sources(
  finished, predictor, samples, raw_dir, tmp_path_factory
):
  path = tmp_path_factory.mktemp("boxes") / "boxes.json"
  listed = json.loads((raw_dir / "boxes.json").read_text())
  path.write_text(json.dumps(listed | {"one.png": []}))
  listed = listed_boxes(path)
  return Answerer(finished.workdir, predictor, samples, listed, "cats")


def form_of(post, **changes):
  """Returns a post of the fixture `posts` as it would be filled in."""
  spans = {
    f"{role}_span": ":".join(map(str, post[f"{role}_span"]))
    for role in ("head", "tail")
  }
  fields = {"text": " ".join(post["text"]), "picture": post["image"], **spans}
  return Form(**fields | {"picture_name": "other.jpg"} | changes)


def picture_file(folder, picture, name="a.jpg", **options):
  path = folder / name
  picture.save(path, **options)
  return str(path)


def test_fields_become_a_post_and_empty_ones_are_left_out(tmp_path):
  path = tmp_path / "a"
  path.write_bytes(b"bytes")
  assert read_form(Form("Ann", " ", "Bo", "", " 0:12 ", " ", str(path))) == {
    "text": "Ann",
    "tail": "Bo",
    "tail_span": [0, 12],
    "image": b"bytes",
  }


@pytest.mark.parametrize("span", ["3", "3-5", "a:b", "1:2:3", "-1:2", "³:5"])
def test_a_span_is_two_numbers(span):
  with pytest.raises(
    ValueError, match="tail_span: expected BEGIN:END in words"
  ):
    read_form(Form("Ann", tail_span=span))


def test_samples_hold_what_a_post_needs_and_are_the_same_each_time(samples):
  assert samples == make_samples()
  for sample in samples:
    # Each name is found, so it occurs once.
    assert read_post(sample._asdict()).names == (sample.head, sample.tail)
    assert Image.open(io.BytesIO(sample.picture)).format == "JPEG"
    assert sample.boxes


def test_an_answer_is_what_the_predictor_says(answerer, predictor, posts):
  post = posts[0]
  found = answerer.answer(form_of(post))
  wanted = predictor.predict(post | {"boxes": FOUND})
  assert found.prediction["probabilities"] == wanted["probabilities"]
  assert (found.prediction["head"], found.prediction["tail"]) == (
    post["head"],
    post["tail"],
  )


def test_boxes_come_with_the_sample_from_the_file_or_the_finder(
  answerer, predictor, samples, posts, tmp_path
):
  name = os.path.basename(posts[0]["image"])
  sample = tmp_path / "sample"
  sample.write_bytes(samples[0].picture)
  cases = {
    f"{name} in boxes.json": ({}, name, posts[0]["boxes"]),
    "cats": ({}, "other.jpg", FOUND),
    # Its own ones, whatever it is called.
    "the example": ({"picture": sample}, name, samples[0].boxes),
  }
  for origin, (changes, picture_name, wanted) in cases.items():
    form = form_of(posts[0], picture_name=picture_name, **changes)
    answer = answerer.answer(form)
    assert answer.boxes_from == origin
    drawn = sorted(list(box.edges) for box in answer.boxes)
    assert drawn == sorted(entry["box"] for entry in wanted)
    post = posts[0] | {"boxes": wanted, "image": str(form.picture)}
    again = predictor.predict(post)
    assert answer.prediction["probabilities"] == again["probabilities"]


def test_without_a_source_there_are_no_boxes(
  finished, predictor, posts, monkeypatch
):
  monkeypatch.setattr(answers, "PostAligner", refuse)
  lone = Answerer(finished.workdir, predictor)
  shown = view.render_answer(lone.answer(form_of(posts[0])))
  assert "No objects; source: none; --boxes or --detector gives some." in shown
  assert "rect" not in Parsed(shown).found
  assert "--detector" in lone.facts["Objects"]


def test_a_run_without_objects_gets_and_names_none(
  data_dir, samples, posts, raw_dir, tmp_path, monkeypatch
):
  monkeypatch.setattr(answers, "PostAligner", refuse)
  config = tiny_run.tiny_run_config(data_dir, model={"use_objects": False})
  built = tiny_run.build(config)
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  predictor = Predictor(tmp_path / "run", Finder())
  listed = listed_boxes(raw_dir / "boxes.json")
  vanilla = Answerer("run", predictor, samples, listed, "cats")
  none = "none, as the run was trained without objects"
  assert vanilla.facts["Objects"] == none
  (tmp_path / "sample").write_bytes(samples[0].picture)
  name = os.path.basename(posts[0]["image"])
  for changes in (
    {"picture": tmp_path / "sample"},
    {"picture_name": name},
    {"picture_name": "other.jpg"},
  ):
    answer = vanilla.answer(form_of(posts[0], **changes))
    assert (answer.boxes, answer.boxes_from) == ([], none)


def refuse(_):
  raise ValueError("found a model that reads only text")


def test_the_page_says_which_run_predicts(answerer, finished, predictor):
  shown = view.render_facts(answerer.facts)
  assert f"{finished.workdir}, checkpoint at step {predictor.step}" in shown
  assert "clean, that of the training data" in shown
  assert "reads the text, the whole picture and objects in the picture" in shown
  assert "found by cats" in shown


NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def test_a_bad_picture_gets_a_reason_without_a_path(answerer, posts, tmp_path):
  path = tmp_path / "upload.jpg"
  path.write_bytes(b"Ann joins Acme")
  with pytest.raises(ValueError, match="not a picture in JPEG, PNG") as raised:
    answerer.answer(form_of(posts[0], picture=str(path)))
  assert str(tmp_path) not in str(raised.value)


def test_odd_pictures_are_shown_upright_and_in_rgb(answerer, posts, tmp_path):
  picture = Image.fromarray(NOISE)
  exif = Image.Exif()
  exif[0x0112] = 6
  paths = {
    (60, 40): picture_file(tmp_path, picture.convert("CMYK"), "cmyk.jpg"),
    (40, 60): picture_file(tmp_path, picture, "turned.jpg", exif=exif),
    (1, 1): picture_file(tmp_path, picture.resize((1, 1)), "one.png"),
  }
  for size, path in paths.items():
    name = os.path.basename(path)
    form = form_of(posts[0], picture=path, picture_name=name)
    answer = answerer.answer(form)
    assert (answer.picture.size, answer.picture.mode) == (size, "RGB")
    scale = 640 / max(size)
    viewed = " ".join(str(scale * length) for length in size)
    assert f'viewBox="0 0 {viewed}"' in view.render_answer(answer)


def test_boxes_are_drawn_where_they_are(answerer, posts):
  answer = answerer.answer(form_of(posts[0]))
  scale = 640 / max(answer.picture.size)
  parsed = Parsed(view.render_answer(answer))
  (rectangle,) = parsed.found["rect"]
  x0, y0, x1, y1 = FOUND[0]["box"]
  wanted = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
  for key, value in wanted.items():
    assert float(rectangle[key]) == pytest.approx(scale * value)
  assert rectangle["class"] == "detected"
  assert "<i>cat</i>, 0.40" in "".join(parsed.data)


class Parsed(html.parser.HTMLParser):
  """The tags of a piece of HTML with their attributes, and its text."""

  def __init__(self, text):
    super().__init__()
    self.found, self.data = {}, []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.found.setdefault(tag, []).append(dict(attributes))

  def handle_data(self, data):
    self.data.append(data)


def test_nothing_of_a_post_becomes_markup(answerer, posts):
  text = f"{SCRIPT} joins Acme"
  form = Form(text, SCRIPT, "Acme", picture=posts[0]["image"])
  answer = answerer.answer(form)
  for part in (
    view.render_answer(answer),
    view.render_alignment(answer),
    view.render_message(SCRIPT),
    view.render_facts({SCRIPT: SCRIPT}),
  ):
    assert "script" not in Parsed(part).found
  (frame,) = Parsed(view.render_alignment(answer)).found["iframe"]
  assert frame["sandbox"] == "allow-scripts"
  # The page in the frame has one script, its own.
  inside = Parsed(frame["srcdoc"])
  assert len(inside.found["script"]) == 1
  assert SCRIPT in "".join(inside.data)


def test_all_relations_are_listed_the_likeliest_first(answerer, posts):
  answer = answerer.answer(form_of(posts[0]))
  probabilities = answer.prediction["probabilities"]
  text = " ".join("".join(Parsed(view.render_answer(answer)).data).split())
  ranked = sorted(probabilities, key=lambda name: -probabilities[name])
  places = [text.rindex(f"{r} {probabilities[r]:.4f}") for r in ranked]
  assert places == sorted(places)


def test_why_there_is_no_alignment_is_said(
  finished, answerer, predictor, monkeypatch
):
  without = answerer.answer(Form("Ann joins Acme", "Ann", "Acme"))
  assert without.picture is without.alignment is None
  assert "without a picture there is nothing" in view.render_alignment(without)
  monkeypatch.setattr(answers, "PostAligner", refuse)
  other = Answerer(finished.workdir, predictor)
  answer = other.answer(Form("Ann joins Acme", "Ann", "Acme"))
  assert answer.prediction == without.prediction
  shown = view.render_alignment(answer)
  assert "No alignment: found a model that reads only text." in shown
