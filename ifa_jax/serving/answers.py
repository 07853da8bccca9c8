"""The page's form as a post; its relations, objects and alignment."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from ifa_jax.analyze.alignment import page
from ifa_jax.analyze.alignment.own_posts import PostAligner
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.images.boxes import Box
from ifa_jax.inference import seen_kinds
from ifa_jax.inference.completion import Listed
from ifa_jax.inference.post import parse_span
from ifa_jax.inference.predictor import Predictor
from ifa_jax.serving.samples import Sample

# The source of the objects of a run that was trained without any.
_UNSEEN = "none, as the run was trained without objects"


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
  span = parse_span(text)
  if span is None:
    raise ValueError(f"{name}: expected BEGIN:END in words, got {text!r}")
  return span


class Answer(NamedTuple):
  """The contents of the page for one post.

  Attributes:
    prediction: as `Predictor.predict` returns it.
    picture: RGB and upright, or None.
    boxes: drawn on it, best score first.
    boxes_from: their source, in words.
    num_read: number of them that are crops of the model's input, None for a
      model without crops.
    alignment: a page of HTML, or None.
    no_alignment: the reason if there is none.
  """

  prediction: Mapping[str, Any]
  picture: Image.Image | None
  boxes: Sequence[Box]
  boxes_from: str
  num_read: int | None
  alignment: str | None
  no_alignment: str | None


class Answerer:
  """Answers posts with one run.

  Attributes:
    facts: name -> line, the description of the run on the page.
    reads_caption: whether the model reads the captions of pictures.
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    predictor: Predictor,
    samples: Sequence[Sample] = (),
    listed: Listed | None = None,
    finder: str | None = None,
  ):
    """Creates the aligner, if the model has an alignment.

    Args:
      workdir: the run folder, as named on the page.
      predictor: of the run, with the finder.
      samples: posts whose pictures have their own boxes.
      listed: boxes of pictures by file name.
      finder: names of the models that find objects in other pictures.
    """
    self._run = str(workdir)
    self._predictor = predictor
    self._listed, self._finder = listed, finder
    self.reads_caption = predictor.model.reads_caption is not None
    self._of_samples = {sample.picture: sample.boxes for sample in samples}
    self._aligner = self._no_alignment = None
    try:
      self._aligner = PostAligner(predictor)
    except ValueError as error:
      self._no_alignment = str(error)
    reads = seen_kinds.in_words(predictor.model, predictor.trained_with)
    if not predictor.model.sees_pictures:
      reads += ": no picture and no object changes its answer"
    self.facts = {
      "Run": f"{workdir}, checkpoint at step {predictor.step}",
      "Protocol": f"{predictor.protocol}, that of the training data",
      "Model": f"{predictor.model.system}, reads {reads}",
    }
    if predictor.model.opens_pictures:
      self.facts["Objects"] = self._describe_sources()

  def answer(self, form: Form) -> Answer:
    """Answers a filled-in form.

    Raises:
      ValueError: for an invalid post or picture, with the reason.
      OSError: if the uploaded file cannot be read.
    """
    post = read_form(form)
    image = post.get("image")
    picture = None if image is None else decode.open_picture(image)
    post, boxes_from = self._with_boxes(post, form.picture_name)
    return Answer(
      self._predictor.predict(post),
      picture,
      boxes.read_list(post.get("boxes") or [], "boxes"),
      boxes_from,
      self._num_read(post),
      *self._align(post),
    )

  def _num_read(self, post: Mapping[str, Any]) -> int | None:
    crops = self._predictor.reader.read(post).boxes
    return sum(map(len, crops.values())) if crops else None

  def _describe_sources(self) -> str:
    """Names the sources of the objects in pictures."""
    if "objects" not in self._predictor.trained_with:
      return _UNSEEN
    found = self._finder and f"found by {self._finder}"
    if self._listed is None:
      nothing = "none in a picture of yours; --boxes or --detector gives some"
      return found or nothing
    rest = found or "none in other pictures"
    return f"of pictures by file name in {self._listed.name}; {rest}"

  def _with_boxes(
    self, post: Mapping[str, Any], picture_name: str
  ) -> tuple[Mapping[str, Any], str]:
    """Returns a post with its boxes, and their source."""
    if "objects" not in self._predictor.trained_with:
      return post, _UNSEEN
    if post.get("image") in self._of_samples:
      given = self._of_samples[post["image"]]
      return {**post, "boxes": given}, "the example"
    if self._listed is not None:
      listed = self._listed.complete({"image": picture_name})
      if "boxes" in listed:
        where = f"{picture_name} in {self._listed.name}"
        return {**post, "boxes": listed["boxes"]}, where
    if self._finder is None:
      return post, "none; --boxes or --detector gives some"
    return self._predictor.complete(post), self._finder

  def _align(self, post: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Returns the alignment page of a post, or the reason for none."""
    if self._aligner is None:
      return None, self._no_alignment
    read, name = "image", "picture"
    if self.reads_caption:
      read = name = "caption"
    if post.get(read) is None:
      return None, f"without a {name} there is nothing to align"
    aligned = self._aligner.post(post)
    source = self._aligner.source(self._run)
    return page.render(source, [aligned], shown=0), None
