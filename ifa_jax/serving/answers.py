"""Relations, objects and alignment of a post, for the page."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from ifa_jax.analyze.alignment import page
from ifa_jax.analyze.alignment.own_posts import PostAligner
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.images.boxes import Box
from ifa_jax.inference.listed import ListedObjects
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models.base import System
from ifa_jax.serving.form import Form, read_form
from ifa_jax.serving.samples import Sample


class Answer(NamedTuple):
  """The contents of the page for one post.

  Attributes:
    prediction: as `Predictor.predict` returns it.
    picture: RGB and upright, or None.
    boxes: drawn on it, best score first.
    boxes_from: their source, in words.
    alignment: a page of HTML, or None.
    no_alignment: the reason if there is none.
  """

  prediction: Mapping[str, Any]
  picture: Image.Image | None
  boxes: Sequence[Box]
  boxes_from: str
  alignment: str | None
  no_alignment: str | None


class BoxSources(NamedTuple):
  """Sources of the objects in pictures.

  Attributes:
    file: name of the boxes file, or None.
    listed: its contents, or None.
    finder: names of the models that find objects in other pictures, or None.
  """

  file: str | None = None
  listed: ListedObjects | None = None
  finder: str | None = None

  def __str__(self) -> str:
    """Names the sources in one line."""
    found = self.finder and f"found by {self.finder}"
    if self.file is None:
      nothing = "none in a picture of yours; --boxes or --detector gives some"
      return found or nothing
    rest = found or "none in other pictures"
    return f"of pictures by file name in {self.file}; {rest}"


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
    sources: BoxSources,
    samples: Sequence[Sample],
  ):
    """Creates the aligner, if the model has an alignment.

    Args:
      workdir: the run folder, as named on the page.
      predictor: of the run, with the finder that `sources` names.
      sources: of boxes.
      samples: posts whose pictures have their own boxes.
    """
    self._run = str(workdir)
    self._predictor = predictor
    self._sources = sources
    self.reads_caption = predictor.model.reads_caption is not None
    self._of_samples = {sample.picture: sample.boxes for sample in samples}
    self._aligner = self._no_alignment = None
    try:
      self._aligner = PostAligner(predictor)
    except ValueError as error:
      self._no_alignment = str(error)
    self.facts = {
      "Run": f"{workdir}, checkpoint at step {predictor.step}",
      "Protocol": f"{predictor.protocol}, that of the training data",
      "Model": f"{predictor.model.system}, reads {_reads(predictor.model)}",
      "Objects": str(sources),
    }

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
      *self._align(post),
    )

  def _with_boxes(
    self, post: Mapping[str, Any], picture_name: str
  ) -> tuple[Mapping[str, Any], str]:
    """Returns a post with its boxes, and their source."""
    sources = self._sources
    if post.get("image") in self._of_samples:
      given = self._of_samples[post["image"]]
      return {**post, "boxes": given}, "given with the example"
    if sources.listed is not None:
      listed = sources.listed.complete({"image": picture_name})
      if "boxes" in listed:
        where = f"of {picture_name} in {sources.file}"
        return {**post, "boxes": listed["boxes"]}, where
    if sources.finder is not None:
      found = self._predictor.complete(post)
      if "boxes" not in found:
        return post, "not looked for, as the run was trained without any"
      return found, f"found by {sources.finder}"
    return post, "nothing lists or looks for any"

  def _align(self, post: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Returns the alignment page of a post, or the reason for none."""
    if self._aligner is None:
      return None, self._no_alignment
    read = "caption" if self._predictor.model.reads_caption else "image"
    if post.get(read) is None:
      missing = {"image": "picture", "caption": "caption"}[read]
      return None, f"without a {missing} there is nothing to align"
    aligned = self._aligner.post(post)
    source = self._aligner.source(self._run)
    return page.render(source, [aligned], shown=0), None


def _reads(model: System) -> str:
  """Lists the inputs of a model in words."""
  fields = [field for field, _, _ in model.picture_slots]
  parts = ["the text"]
  if "image" in fields:
    parts.append("the whole picture")
  if model.regions is not None or {*fields} - {"image"}:
    parts.append("objects in the picture")
  if model.reads_caption:
    parts.append("the picture's caption")
  if len(parts) == 1:
    return "only the text: no picture and no object changes its answer"
  return ", ".join(parts)
