"""The Gradio page and its server.

It serves its own files and nothing else, loads nothing from elsewhere and
reports to nobody. Uploads are deleted after an hour; those that are left lie in
a folder that the caller deletes.
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
from ifa_jax.serving.answers import Answerer
from ifa_jax.serving.form import Form
from ifa_jax.serving.gate import Gate
from ifa_jax.serving.samples import Sample

_LOG = logging.getLogger(__name__)

# Larger than any photo of `decode.MAX_PIXELS` that a camera writes as JPEG.
MAX_FILE_SIZE = "64mb"

# Every so many seconds, uploads of so many seconds' age are deleted.
_DELETION = (60, 3600)

# Posts that wait while one is answered.
_MAX_WAITING = 16

_TITLE = "Relation of two entities in a post"
# Whatever a post holds, the browser asks no other machine for anything.
_HEAD = (
  '<meta http-equiv="Content-Security-Policy" content="default-src'
  " 'self' 'unsafe-inline' 'unsafe-eval' data: blob:\">"
)
_EXPLANATION = (
  "Paste a post, give its head and tail as they stand in it, and add its"
  " picture if there is one. The model names the relation of the head to the"
  " tail. Where a name occurs twice, *head_span* or *tail_span* chooses words:"
  " `3:5` are words 3 and 4, counted from 0. The text may be marked instead:"
  " `<s> Ann </s> joins <o> Acme </o>`."
)


def environment(folder: str, host: str) -> dict[str, str]:
  """Returns what has to be set in `os.environ` before and while a page runs.

  Args:
    folder: where uploads go.
    host: that is asked for directly, whatever proxy is set for others.
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
  """Serves the page in threads of its own; gives its address.

  `environment` must be set.
  """
  blocks = _build(answerer, samples)
  blocks.queue(max_size=_MAX_WAITING, api_open=False)
  css = pathlib.Path(__file__).with_name("page.css").read_text("utf-8")
  _, address, _ = blocks.launch(
    server_name=host,
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
    theme=_theme(),
    css=css,
    head=_HEAD,
  )
  try:
    yield address
  finally:
    blocks.close(verbose=False)


def _theme() -> themes.Base:
  """Returns Gradio's looks in the fonts of the machine."""
  return themes.Default(
    primary_hue="orange",
    font=("system-ui", "sans-serif"),
    font_mono=("ui-monospace", "monospace"),
  )


def _build(answerer: Answerer, samples: Sequence[Sample]) -> gr.Blocks:
  """Lays out the page: the form beside the answer, the alignment below."""
  with gr.Blocks(
    title=_TITLE, analytics_enabled=False, delete_cache=_DELETION
  ) as blocks:
    gr.Markdown(f"# {_TITLE}\n{_EXPLANATION}")
    _html(view.render_facts(answerer.facts))
    with gr.Row():
      with gr.Column(scale=5, min_width=320):
        fields = _form()
        button = gr.Button("Predict", variant="primary")
        loaded = _offer(samples, fields)
      with gr.Column(scale=6, min_width=320):
        answer = _html("")
    alignment = _html("")
    event = {
      "fn": _responder(answerer),
      "inputs": fields,
      "outputs": [answer, alignment],
      # A picture comes as what is known of the file, its former name included.
      "preprocess": False,
      "scroll_to_output": True,
      # Together the two events below answer one post at a time.
      "concurrency_id": "answers",
      "concurrency_limit": 1,
      "api_visibility": "private",
    }
    # Enter in a field of one line predicts as well.
    entered = [field.submit for field in fields[:-1]]  # pyright: ignore[reportAttributeAccessIssue]
    gr.on([button.click, *entered], **event)
    loaded.then(**event)
  return blocks


def _html(value: str) -> gr.HTML:
  return gr.HTML(value, apply_default_css=False, elem_classes="shown")


def _form() -> list[Component]:
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
  picture = gr.File(label="picture", height=120)
  return [text, *names, *spans, picture]


def _offer(
  samples: Sequence[Sample], fields: Sequence[Component]
) -> Dependency:
  """Offers samples; returns the event that one has been filled in."""
  folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"], "samples")
  folder.mkdir(parents=True)
  rows = []
  for number, sample in enumerate(samples, start=1):
    path = folder / f"example_{number}.jpg"
    path.write_bytes(sample.picture)
    fields[-1].keep_in_cache.add(str(path))
    rows.append([sample.text, sample.head, sample.tail, "", "", str(path)])
  offered = gr.Examples(
    rows,
    [*fields],
    label="examples, written and drawn by a program",
    example_labels=[f"{sample.head} → {sample.tail}" for sample in samples],
    cache_examples=False,
    api_visibility="private",
  )
  return offered.load_input_event


def _responder(answerer: Answerer) -> Callable[..., tuple[str, str]]:
  """Returns what turns the fields into the HTML of answer and alignment."""

  def respond(*fields):
    *texts, upload = fields
    picture = (upload["path"], upload["orig_name"] or "") if upload else ()
    try:
      answer = answerer.answer(Form(*texts, *picture))
      return view.render_answer(answer), view.render_alignment(answer)
    except FileNotFoundError:
      message = "the picture is deleted, an hour old; choose it again"
      return view.render_message(message), ""
    except (ValueError, OSError) as error:
      return view.render_message(str(error)), ""
    except Exception:  # Gradio would show "Error" alone.
      _LOG.exception("a post could not be answered")
      message = "this post could not be answered; the terminal says more"
      return view.render_message(message), ""

  return respond
