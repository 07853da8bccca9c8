"""The page of a run, served to tests, and used in a headless Chromium."""

import contextlib
import gc
import importlib.util
import os

import browser
import pytest
from ports import free_port

from ifa_jax.inference.completion import listed_boxes
from ifa_jax.serving.answers import Answerer
from ifa_jax.serving.samples import make_samples

SECONDS_TO_ANSWER = 60
# A page that is still loading loses the first choice of a file.
UPLOAD_ATTEMPTS = 4

needs_gradio = pytest.mark.skipif(
  importlib.util.find_spec("gradio") is None, reason="not installed: gradio"
)
# Of the pandas that it is installed with.
ignores_pandas = pytest.mark.filterwarnings("ignore:::gradio.queueing")
needs_page_and_browser = (
  needs_gradio,
  ignores_pandas,
  browser.needs_browser,
  pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None,
    reason="not installed: playwright",
  ),
)


def import_page():
  """Imports the module of the page, and Gradio with it.

  Gradio parses its own source. In Python 3.11 that fails if the garbage
  collector runs meanwhile and finds an asyncio task whose error was not read,
  as the test of a full disk leaves them: it is logged, and the traceback parses
  source too.
  """
  gc.collect()
  from ifa_jax.serving import page

  return page


@contextlib.contextmanager
def running(workdir, predictor, uploads, boxes=None, host="127.0.0.1"):
  """Gives the address of the page of a run, with boxes of a file."""
  page, samples = import_page(), make_samples()
  listed = listed_boxes(boxes) if boxes else None
  answerer = Answerer(workdir, predictor, samples, listed)
  with pytest.MonkeyPatch.context() as patch:
    for name, value in page.environment(uploads, host).items():
      patch.setenv(name, value)
    port = free_port()
    with page.running(answerer, samples, host, port) as address:
      yield address


@contextlib.contextmanager
def opened(address):
  """Gives the page in a browser, ready to be filled in."""
  from playwright import sync_api

  with sync_api.sync_playwright() as playwright:
    chromium = playwright.chromium.launch(
      executable_path=browser.CHROMIUM,
      args=["--no-sandbox", "--disable-dev-shm-usage"],
    )
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * SECONDS_TO_ANSWER)
    page.goto(address)
    page.get_by_label("text", exact=True).wait_for()
    yield page
    chromium.close()


def upload(page, picture):
  """Chooses a picture, again if Gradio was not listening yet.

  The page has no input while a file is uploaded, which may take long on a busy
  machine. Its name is shown during the upload too, and as stem and suffix
  after it; only the row of an uploaded file has it as label.
  """
  from playwright import sync_api

  uploaded = page.get_by_label(os.path.basename(picture), exact=True)
  for _ in range(UPLOAD_ATTEMPTS):
    with contextlib.suppress(sync_api.TimeoutError):
      chooser = page.locator("input[type=file]")
      chooser.set_input_files(picture, timeout=1000)
    with contextlib.suppress(sync_api.TimeoutError):
      uploaded.wait_for(timeout=1000 * SECONDS_TO_ANSWER / UPLOAD_ATTEMPTS)
      return
  raise AssertionError(f"not uploaded; the page: {page.inner_text('body')}")


def fill(page, text, picture=None, **fields):
  """Fills in the form, other fields being empty, and predicts."""
  page.get_by_label("text", exact=True).fill(text)
  for name in ("head", "tail", "head_span", "tail_span", "caption"):
    field = page.get_by_label(name, exact=True)
    if name in fields or field.count():
      field.fill(fields.get(name, ""))
  clear = page.get_by_role("button", name="Clear")
  if clear.count():
    clear.click()
    page.get_by_text("Drop File Here").wait_for()
  if picture is not None:
    upload(page, picture)
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
