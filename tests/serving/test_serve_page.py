"""The page of `python -m ifa_jax.serve`, used in a headless Chromium."""

import os
import re

import pytest
import served
from served import fill, probabilities, rounded

pytestmark = [
  *served.needs_page_and_browser,
  pytest.mark.usefixtures("fast_compilation"),
]

SCRIPT = "<img src=x>${1+1}"


@pytest.fixture(scope="module", name="address")
def address_of_the_page(finished, predictor, raw_dir, tmp_path_factory):
  boxes, uploads = raw_dir / "boxes.json", tmp_path_factory.mktemp("uploads")
  with served.running(finished.workdir, predictor, uploads, boxes) as address:
    yield address


@pytest.fixture(scope="module", name="asked")
def all_that_the_browser_asked_for():
  return []


@pytest.fixture(scope="module", name="page")
def page_in_the_browser(address, asked):
  with served.opened(address) as page:
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.get_by_label("text", exact=True).wait_for()
    yield page


def name_once(posts):
  """Returns a post whose text holds each name once."""
  for post in posts:
    text = " ".join(post["text"])
    if text.count(post["head"]) == text.count(post["tail"]) == 1:
      return post | {"text": text}
  raise AssertionError("no such post")


def test_a_post_with_its_picture_is_predicted_as_in_python(
  page, predictor, posts
):
  post = name_once(posts)
  fill(page, post["text"], post["image"], head=post["head"], tail=post["tail"])
  wanted = predictor.predict(post)
  assert probabilities(page) == rounded(wanted)
  assert page.locator(".relation").text_content() == wanted["relation"]
  assert page.locator(".answer rect").count() == len(post["boxes"])
  caption = page.locator(".answer figcaption").text_content()
  source = f"{os.path.basename(post['image'])} in boxes.json"
  assert f"source: {source}; the model reads 3 of them" in caption


def test_the_alignment_stands_in_a_frame_that_reaches_nothing(page, posts):
  from playwright import sync_api

  # Another one: unchanged parts are not drawn again.
  post = name_once(posts[::-1])
  fill(page, post["text"], post["image"], head=post["head"], tail=post["tail"])
  frame = page.locator("iframe")
  frame.scroll_into_view_if_needed()
  inside = frame.content_frame
  inside.locator(".map").wait_for()
  words = inside.locator(".map tbody").first.locator("th").all_text_contents()
  assert words == post["text"].split()
  # The frame's own script works, and sees nothing of the page around it.
  cell = inside.locator("td.picture").first
  number = cell.text_content()
  cell.evaluate("cell => { cell.textContent = '' }")
  inside.locator("#map").select_option(index=1)
  # Of a single layer, which is the mean as well.
  sync_api.expect(cell).to_have_text(number)
  reached = inside.locator("body").evaluate(
    "() => { try { return parent.document.title } catch (error) {"
    " return error.name } }"
  )
  assert reached == "SecurityError"


def test_a_text_in_place_of_a_picture_gets_a_message(page, tmp_path):
  path = tmp_path / "notes.jpg"
  path.write_text("Ann joins Acme")
  fill(page, "Ann joins Acme", str(path), head="Ann", tail="Acme")
  said = page.locator(".message").text_content()
  assert "not a picture in JPEG, PNG" in said
  assert "Traceback" not in page.content()
  assert page.locator(".toast-body").count() == 0
  assert page.locator("iframe").count() == 0


def test_a_wrong_name_gets_a_message_and_a_span_settles_a_double_one(
  page, predictor
):
  said = lambda: page.locator(".message").text_content()  # noqa: E731
  fill(page, "Ann joins Acme", head="Bob", tail="Acme")
  assert "head: 'Bob' does not occur in the text" in said()
  fill(page, "Ann and Ann join Acme", head="Ann", tail="Acme")
  assert re.search(r"occurs 2 times, at words 0:1 .* 2:3 ", said())
  fill(page, "Ann and Ann join Acme", head_span="2:3", tail="Acme")
  post = {"text": "Ann and Ann join Acme", "head_span": [2, 3], "tail": "Acme"}
  assert probabilities(page) == rounded(predictor.predict(post))
  assert "without a picture" in page.locator(".alignment").text_content()


def test_a_marked_text_needs_no_names(page, predictor):
  text = "<s> Ann </s> joins <o> Acme </o>"
  fill(page, text)
  assert probabilities(page) == rounded(predictor.predict({"text": text}))


def test_markup_in_a_post_stays_text(page):
  fill(page, f"{SCRIPT} joins Acme", head=SCRIPT, tail="Acme")
  assert SCRIPT in page.locator(".answer h2").text_content()
  assert page.locator(".answer img").count() == 0
  assert page.title() != "x"


def test_a_click_on_a_sample_answers_it(page):
  page.get_by_role("button", name="→").last.click()
  page.locator(".answer figure").wait_for()
  assert "source: the example" in page.locator(".answer").text_content()
  names = [
    page.get_by_label(role, exact=True).input_value()
    for role in ("head", "tail")
  ]
  assert " → ".join(names) == page.locator(".answer h2").text_content()


def test_the_page_fits_on_a_phone(page):
  page.set_viewport_size({"width": 360, "height": 740})
  width = page.evaluate("document.documentElement.scrollWidth")
  page.set_viewport_size({"width": 1280, "height": 900})
  assert width <= 360


def test_nothing_is_asked_of_another_machine(page, asked, address):
  assert len(asked) > 10
  local = (address, "data:", "blob:", "about:")
  assert [url for url in asked if not url.startswith(local)] == []
  # The same server by another name: only the page's own rule forbids it.
  elsewhere = address.replace("127.0.0.1", "localhost")
  tried = page.evaluate(
    "url => fetch(url, {mode: 'no-cors'}).then(() => 'sent', e => e.name)",
    elsewhere,
  )
  assert tried == "TypeError"
