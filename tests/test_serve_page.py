"""The page of `python -m ifa_jax.serve`, used in a headless Chromium."""

import importlib.util
import json
import os
import pathlib
import re
import signal
import socket
import threading
import time
import types
import urllib.error
import urllib.request

import browser
import pytest

from ifa_jax import serve
from ifa_jax.posts.picture_boxes import ListedObjects
from ifa_jax.predictor import Predictor
from ifa_jax.serving.answers import Answerer, BoxSources
from ifa_jax.serving.samples import make_samples

SECONDS_TO_ANSWER = 60

MISSING = [
  name
  for name in ("gradio", "playwright")
  if importlib.util.find_spec(name) is None
]
pytestmark = [
  browser.needs_browser,
  pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}"),
  pytest.mark.usefixtures("fast_compilation"),
  # Of the pandas that it is installed with.
  pytest.mark.filterwarnings("ignore:::gradio.queueing"),
]

SCRIPT = "<img src=x>${1+1}"


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as probe:
    return probe.getsockname()[1]


@pytest.fixture(scope="module", name="predictor")
def predictor_of_the_finished_run(finished, fast_compilation):
  return Predictor(finished.workdir)


@pytest.fixture(scope="module", name="address")
def address_of_the_page(finished, predictor, raw_dir, tmp_path_factory):
  from ifa_jax.serving import page

  listed = ListedObjects(raw_dir / "boxes.json")
  sources, samples = BoxSources("boxes.json", listed), make_samples()
  answerer = Answerer(finished.workdir, predictor, sources, samples)
  with pytest.MonkeyPatch.context() as patch:
    folder = tmp_path_factory.mktemp("uploads")
    for name, value in page.environment(folder, "127.0.0.1").items():
      patch.setenv(name, value)
    port = free_port()
    with page.running(answerer, samples, "127.0.0.1", port) as address:
      yield address


@pytest.fixture(scope="module", name="asked")
def all_that_the_browser_asked_for():
  return []


@pytest.fixture(scope="module", name="page")
def page_in_the_browser(address, asked):
  from playwright import sync_api

  with sync_api.sync_playwright() as playwright:
    chromium = playwright.chromium.launch(
      executable_path=browser.CHROMIUM,
      args=["--no-sandbox", "--disable-dev-shm-usage"],
    )
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * SECONDS_TO_ANSWER)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_label("text", exact=True).wait_for()
    yield page
    chromium.close()


def fill(page, text, picture=None, **fields):
  """Fills in the form, what is not given is left empty, and predicts."""
  page.get_by_label("text", exact=True).fill(text)
  for name in ("head", "tail", "head_span", "tail_span"):
    page.get_by_label(name, exact=True).fill(fields.get(name, ""))
  clear = page.get_by_role("button", name="Clear")
  if clear.count():
    clear.click()
    page.get_by_text("Drop File Here").wait_for()
  if picture is not None:
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_text(os.path.basename(picture), exact=True).wait_for()
  page.evaluate(
    "document.querySelectorAll('.answer, .message').forEach(x => x.remove())"
  )
  page.get_by_role("button", name="Predict").click()
  page.locator(".answer, .message").wait_for()


def probabilities(page):
  """Reads the tables of relations."""
  rows = page.locator(".relations tbody tr").all()
  return {
    row.locator("th").text_content(): row.locator("td").last.text_content()
    for row in rows
  }


def rounded(prediction):
  return {
    name: f"{probability:.4f}"
    for name, probability in prediction["probabilities"].items()
  }


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
  assert f"of {os.path.basename(post['image'])} in boxes.json" in caption


def test_the_alignment_stands_in_a_frame_that_reaches_nothing(page, posts):
  from playwright import sync_api

  # Another one: what stays the same is not drawn again.
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
  assert "given with the example" in page.locator(".answer").text_content()
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


@pytest.mark.parametrize(
  "path",
  [
    "gradio_api/file=/etc/hostname",
    "gradio_api/file=README.md",
    "gradio_api/file=config.json",
    "gradio_api/file=https://elsewhere.invalid/a.jpg",
    "file=/etc/hostname",
    "gradio_api/proxy=https://elsewhere.invalid/a.jpg",
    "static/../../../../../../../etc/hostname",
    "static/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/hostname",
    "assets/%2fetc/hostname",
  ],
)
def test_no_file_of_the_machine_is_served(address, looked_up, path):
  with pytest.raises(urllib.error.HTTPError) as raised:
    urllib.request.urlopen(f"{address}{path}")
  assert raised.value.code in (403, 404)
  assert "elsewhere.invalid" not in looked_up


@pytest.fixture(name="looked_up")
def hosts_that_are_looked_up(monkeypatch):
  hosts, look_up = [], socket.getaddrinfo

  def note(host, *args, **kwargs):
    hosts.append(host)
    return look_up(host, *args, **kwargs)

  monkeypatch.setattr(socket, "getaddrinfo", note)
  return hosts


def submit(address, data):
  """Submits what the page's first event of so many inputs gets."""
  with urllib.request.urlopen(f"{address}config") as reply:
    listed = json.load(reply)["dependencies"]
  (number, *_) = (x["id"] for x in listed if len(x["inputs"]) == len(data))
  body = {"data": data, "fn_index": number, "session_hash": "s"}
  request = urllib.request.Request(
    f"{address}gradio_api/queue/join",
    json.dumps(body).encode(),
    {"Content-Type": "application/json"},
  )
  with urllib.request.urlopen(request):
    pass
  events = f"{address}gradio_api/queue/data?session_hash=s"
  with urllib.request.urlopen(events, timeout=SECONDS_TO_ANSWER) as stream:
    return next(line for line in stream if b"process_completed" in line)


@pytest.mark.parametrize(
  "path",
  ["/etc/hostname", "https://elsewhere.invalid/a.jpg", "{uploads}/../x"],
)
@pytest.mark.parametrize("place", [0, 5])
def test_no_file_is_read_that_nobody_uploaded(address, looked_up, path, place):
  path = path.format(uploads=os.environ["GRADIO_TEMP_DIR"])
  data = ["Ann joins Acme", "Ann", "Acme", "", "", None]
  data[place] = {"path": path, "meta": {"_type": "gradio.FileData"}}
  with pytest.raises(urllib.error.HTTPError) as raised:
    submit(address, data)
  assert raised.value.code == 403
  assert "elsewhere.invalid" not in looked_up


def send_file(address, content):
  """Uploads a file; returns where it lies."""
  head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"'
  request = urllib.request.Request(
    f"{address}gradio_api/upload",
    head + b"\r\n\r\n" + content + b"\r\n--b--\r\n",
    {"Content-Type": "multipart/form-data; boundary=b"},
  )
  with urllib.request.urlopen(request) as reply:
    (path,) = json.load(reply)
  return pathlib.Path(path)


def test_uploads_are_deleted_soon_and_with_ctrl_c(
  finished, fast_compilation, monkeypatch, tmp_path
):
  from ifa_jax.serving import page

  values = {"workdir": str(finished.workdir), "port": free_port()}
  values |= dict.fromkeys(("boxes", "detector", "grounder"))
  flags = types.SimpleNamespace(host="127.0.0.1", **values)
  monkeypatch.setattr(serve.flags, "FLAGS", flags)
  monkeypatch.setattr(serve.tempfile, "tempdir", str(tmp_path))
  monkeypatch.setattr(page, "_DELETION", (1, 1))
  for name in page.environment("", ""):
    # All are as they were, afterwards.
    monkeypatch.setenv(name, "")
  said, seen = [], []
  say = lambda line, **_: said.append(line)  # noqa: E731
  monkeypatch.setattr(serve, "print", say, raising=False)

  def look_and_stop():
    while not said:
      time.sleep(0.05)
    address = said[0].split()[0]
    # A sample, by its number: its picture stays.
    seen.append(b'"success":true' in submit(address, [0]))
    upload = send_file(address, b"picture")
    seen.append((upload.read_bytes(), [*tmp_path.iterdir()]))
    until = time.monotonic() + SECONDS_TO_ANSWER
    while upload.exists() and time.monotonic() < until:
      time.sleep(0.05)
    seen.append(upload.exists())
    seen.append(len([*tmp_path.glob("*/samples/*.jpg")]))
    os.kill(os.getpid(), signal.SIGTERM)

  before = signal.getsignal(signal.SIGTERM)
  threading.Thread(target=look_and_stop, daemon=True).start()
  try:
    serve.main(None)
  finally:
    signal.signal(signal.SIGTERM, before)
  answered, (content, folders), is_left, num_samples = seen
  assert answered
  assert (content, len(folders)) == (b"picture", 1)
  assert not is_left
  assert num_samples == 4
  assert [*tmp_path.iterdir()] == []
  address = f"http://127.0.0.1:{flags.port}/"
  assert said == [f"{address} predicts posts; Ctrl-C ends it", "\nstopped"]
