"""Answers as HTML."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from ifa_jax.cli import templates
from ifa_jax.data.images.boxes import Box
from ifa_jax.serving.answers import Answer

# Relations shown at first, most probable first; the others unfold.
NUM_RELATIONS = 5

# Longer side of a picture on the page, in pixels of the drawing.
_SIDE = 640

_TEMPLATES = templates.templates("ifa_jax.serving")


def render_facts(facts: Mapping[str, str]) -> str:
  """Returns the description of the run."""
  return _render("facts", facts=facts)


def render_message(message: str) -> str:
  """Returns the error of a post."""
  return _render("message", message=message)


def render_answer(answer: Answer) -> str:
  """Returns relations and picture."""
  found = answer.prediction
  ranked = sorted(found["probabilities"].items(), key=lambda kv: -kv[1])
  return _render(
    "answer",
    prediction=found,
    first=ranked[:NUM_RELATIONS],
    others=ranked[NUM_RELATIONS:],
    drawing=_draw(answer.picture, answer.boxes) if answer.picture else None,
    boxes_from=answer.boxes_from,
    num_read=answer.num_read,
  )


def render_alignment(answer: Answer) -> str:
  """Returns the alignment in a frame, or the reason for none."""
  return _render("alignment", page=answer.alignment, reason=answer.no_alignment)


def _render(macro: str, **values: Any) -> str:
  template = _TEMPLATES.get_template("answer.html.j2")
  return str(getattr(template.module, macro)(**values))


def _draw(picture: Image.Image, listed: Sequence[Box]) -> dict[str, Any]:
  """Returns a picture with its boxes, scaled to `_SIDE`."""
  scale, small, file = _SIDE / max(picture.size), picture.copy(), io.BytesIO()
  small.thumbnail((_SIDE, _SIDE))
  small.save(file, "PNG")
  encoded = base64.b64encode(file.getvalue()).decode()
  return {
    "width": scale * picture.width,
    "height": scale * picture.height,
    "uri": f"data:image/png;base64,{encoded}",
    "boxes": [
      {"edges": [scale * edge for edge in box.edges], "box": box}
      for box in listed
    ],
  }
