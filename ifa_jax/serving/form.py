"""The fields of the page, as a post."""

import re
from typing import Any, NamedTuple


class Form(NamedTuple):
  """The fields of the page; empty text fields are "".

  Attributes:
    text: of the post.
    head: its name, "" if the text is marked.
    tail: its name, "" if the text is marked.
    head_span: "3:5" for words [3, 5), instead of the name.
    tail_span: the same of the tail.
    caption: the picture in words, "" without them.
    picture: path of the uploaded file, or None.
    picture_name: original name of the file, "" without one.
  """

  text: str
  head: str = ""
  tail: str = ""
  head_span: str = ""
  tail_span: str = ""
  caption: str = ""
  picture: str | None = None
  picture_name: str = ""


def read_form(form: Form) -> dict[str, Any]:
  """Returns the post of a form, as `inference` describes it, without boxes.

  Raises:
    ValueError: for a malformed span.
    OSError: if the uploaded file cannot be read.
  """
  post: dict[str, Any] = {"text": form.text}
  for role in ("head", "tail"):
    name, span = getattr(form, role), getattr(form, f"{role}_span")
    if name.strip():
      post[role] = name
    if span.strip():
      post[f"{role}_span"] = _read_span(f"{role}_span", span)
  if form.caption.strip():
    post["caption"] = form.caption
  if form.picture is not None:
    # As bytes, so that no message names a folder of this machine.
    with open(form.picture, "rb") as file:
      post["image"] = file.read()
  return post


def _read_span(name: str, text: str) -> list[int]:
  ends = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", text, re.ASCII)
  if ends is None:
    raise ValueError(f"{name}: expected BEGIN:END in words, got {text!r}")
  return [*map(int, ends.groups())]
