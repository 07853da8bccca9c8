"""The Gradio page and its server.

It serves only its own files, loads nothing from other servers and sends no
telemetry. Uploads are deleted after an hour; the caller deletes their folder.
"""

import contextlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import gradio as gr
from gradio import themes
from gradio.components import Component
from gradio.events import Dependency
from starlette.middleware import Middleware

from ifa_jax.serving import view
from ifa_jax.serving.answers import Answerer, Form
from ifa_jax.serving.gate import Gate
from ifa_jax.serving.samples import Sample

_LOG = logging.getLogger(__name__)

# More than a camera's JPEG of `decode.MAX_PIXELS`.
MAX_FILE_SIZE = "64mb"

# Interval of deletion, and maximum age of an upload, in seconds.
_DELETION = (60, 3600)

# Maximum number of waiting posts.
_MAX_WAITING = 16

_TITLE = "Relation of two entities in a post"
# The browser contacts no other machine, whatever a post contains.
_HEAD = (
  '<meta http-equiv="Content-Security-Policy" content="default-src'
  " 'self' 'unsafe-inline' 'unsafe-eval' data: blob:\">"
)
_EXPLANATION = (
  "Paste a post, enter its head and tail as they occur in it, and add its"
  " picture if there is one. The model predicts the relation of the head to the"
  " tail. If a name occurs twice, *head_span* or *tail_span* chooses words:"
  " `3:5` are words 3 and 4, counted from 0. The text may be marked instead:"
  " `<s> Ann </s> joins <o> Acme </o>`."
)


def environment(folder: str, host: str) -> dict[str, str]:
  """Returns the variables to set in `os.environ` before and while a page runs.

  Args:
    folder: of uploads.
    host: is never reached through a proxy.
  """
  known = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
  direct = ",".join(filter(None, (known, host, "localhost")))
  return {
    "GRADIO_TEMP_DIR": str(folder),
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "NO_PROXY": direct,
    "no_proxy": direct,
  }


@contextlib.contextmanager
def running(
  answerer: Answerer, samples: Sequence[Sample], host: str, port: int
) -> Iterator[str]:
  """Serves the page in background threads; yields its address.

  `environment` must be set.
  """
  blocks = _build(answerer, samples)
  blocks.queue(max_size=_MAX_WAITING, api_open=False)
  css = pathlib.Path(__file__).with_name("page.css").read_text("utf-8")
  _, address, _ = blocks.launch(
    # As in an address of the browser, from which Gradio takes it.
    server_name=f"[{host}]" if ":" in host else host,
    server_port=port,
    prevent_thread_lock=True,
    quiet=True,
    share=False,
    show_error=False,
    ssr_mode=False,
    mcp_server=False,
    run_history=False,
    enable_monitoring=False,
    footer_links=[],
    max_file_size=MAX_FILE_SIZE,
    app_kwargs={
      "middleware": [Middleware(Gate, folder=os.environ["GRADIO_TEMP_DIR"])]
    },
    # Gradio's own with system fonts.
    theme=themes.Default(
      primary_hue="orange",
      font=("system-ui", "sans-serif"),
      font_mono=("ui-monospace", "monospace"),
    ),
    css=css,
    head=_HEAD,
  )
  try:
    yield address
  finally:
    blocks.close(verbose=False)


def _build(answerer: Answerer, samples: Sequence[Sample]) -> gr.Blocks:
  """Lays out the page: form and answer side by side, alignment below."""
  with gr.Blocks(
    title=_TITLE, analytics_enabled=False, delete_cache=_DELETION
  ) as blocks:
    gr.Markdown(f"# {_TITLE}\n{_EXPLANATION}")
    _html(view.render_facts(answerer.facts))
    with gr.Row():
      with gr.Column(scale=5, min_width=320):
        fields = _form(answerer.reads_caption)
        button = gr.Button("Predict", variant="primary")
        loaded = _offer(samples, fields)
      with gr.Column(scale=6, min_width=320):
        answer = _html("")
    alignment = _html("")
    event = {
      "fn": _responder(answerer),
      "inputs": fields,
      "outputs": [answer, alignment],
      # Passes a picture as a description of its file, with the original name.
      "preprocess": False,
      "scroll_to_output": True,
      # The two events below share one queue: one post at a time.
      "concurrency_id": "answers",
      "concurrency_limit": 1,
      "api_visibility": "private",
    }
    # Enter in a one-line field also predicts.
    entered = [field.submit for field in fields[:-1]]  # pyright: ignore[reportAttributeAccessIssue]
    gr.on([button.click, *entered], **event)
    loaded.then(**event)
  return blocks


def _html(value: str) -> gr.HTML:
  return gr.HTML(value, apply_default_css=False, elem_classes="shown")


def _form(reads_caption: bool) -> list[Component]:
  """Lays out the fields, in the order of `Form`; the picture is last."""
  text = gr.Textbox(label="text", lines=3, max_lines=12)
  names, spans = [], []
  for role in ("head", "tail"):
    with gr.Row():
      names.append(gr.Textbox(label=role, scale=3, min_width=160))
      spans.append(
        gr.Textbox(
          label=f"{role}_span", placeholder="3:5", scale=1, min_width=100
        )
      )
  caption = gr.Textbox(
    label="caption",
    placeholder="the picture in words, for a model that reads them",
    visible=reads_caption,
  )
  picture = gr.File(label="picture", height=120)
  return [text, *names, *spans, caption, picture]


def _offer(
  samples: Sequence[Sample], fields: Sequence[Component]
) -> Dependency:
  """Adds samples; returns the event of filling one in."""
  folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"], "samples")
  folder.mkdir(parents=True)
  rows = []
  for number, sample in enumerate(samples, start=1):
    path = folder / f"example_{number}.jpg"
    path.write_bytes(sample.picture)
    fields[-1].keep_in_cache.add(str(path))
    texts = [sample.text, sample.head, sample.tail, "", "", sample.caption]
    rows.append([*texts, str(path)])
  offered = gr.Examples(
    rows,
    [*fields],
    label="generated examples",
    example_labels=[f"{sample.head} → {sample.tail}" for sample in samples],
    cache_examples=False,
    api_visibility="private",
  )
  return offered.load_input_event


def _responder(answerer: Answerer) -> Callable[..., tuple[str, str]]:
  """Returns the function of the fields that gives the HTML of an answer."""

  def respond(*fields):
    *texts, upload = fields
    # A hidden field has no value.
    texts = [text or "" for text in texts]
    picture = (upload["path"], upload["orig_name"] or "") if upload else ()
    try:
      answer = answerer.answer(Form(*texts, *picture))
      return view.render_answer(answer), view.render_alignment(answer)
    except FileNotFoundError:
      message = "the picture was deleted after an hour; choose it again"
      return view.render_message(message), ""
    except (ValueError, OSError) as error:
      return view.render_message(str(error)), ""
    except Exception:  # Gradio would only show "Error".
      _LOG.exception("a post could not be answered")
      message = "this post could not be answered; see the terminal"
      return view.render_message(message), ""

  return respond
