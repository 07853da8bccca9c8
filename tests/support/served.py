"""The page of a finished run, served to tests."""

import contextlib
import gc
import importlib.util

import pytest
from ports import free_port

from ifa_jax.inference.listed import listed_boxes
from ifa_jax.serving.answers import Answerer
from ifa_jax.serving.samples import make_samples

SECONDS_TO_ANSWER = 60

needs_gradio = pytest.mark.skipif(
  importlib.util.find_spec("gradio") is None, reason="not installed: gradio"
)
# Of the pandas that it is installed with.
ignores_pandas = pytest.mark.filterwarnings("ignore:::gradio.queueing")


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
def running(workdir, predictor, boxes, uploads):
  """Gives the address of the page of a run, with boxes of a file."""
  page = import_page()
  samples = make_samples()
  answerer = Answerer(workdir, predictor, samples, listed_boxes(boxes))
  with pytest.MonkeyPatch.context() as patch:
    for name, value in page.environment(uploads, "127.0.0.1").items():
      patch.setenv(name, value)
    port = free_port()
    with page.running(answerer, samples, "127.0.0.1", port) as address:
      yield address
