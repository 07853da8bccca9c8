"""Maps of your own posts, which need no dataset.

aligner = own_posts.PostAligner(ifa_jax.Predictor("runs/objects"))
post = aligner.post({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                     "image": "ann.jpg"})
"""

import functools
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ifa_jax import models
from ifa_jax.analyze.alignment import compute, readers
from ifa_jax.analyze.alignment.posts import AlignedPost, DisplayRow, PostSource
from ifa_jax.batch import trim_captions, trim_text
from ifa_jax.data.images import decode
from ifa_jax.inference import jsonl
from ifa_jax.inference.images import Opener
from ifa_jax.inference.predictor import Predictor
from ifa_jax.inference.reader import Example

_LOG = logging.getLogger(__name__)


class PostAligner:
  """Computes the maps of posts with one run.

  Attributes:
    titles: name -> title of each map, the one to show first in front.
  """

  def __init__(self, predictor: Predictor):
    """Compiles nothing; the first post of each padded length does.

    Raises:
      ValueError: for a model without an alignment, with the reason.
    """
    model, read = predictor.model, predictor.reader
    reader = readers.reader(
      model, read.data.scenes, model.picture_slots, read.image_size
    )
    self.titles = reader.kind.titles
    self._predictor = predictor
    run = compute.capture(models.build(model), reader.field)
    self._align = functools.partial(
      compute.align_batch, predictor.bind(run), predictor.relations, reader
    )

  def source(self, run: str) -> PostSource:
    """Returns the source of the posts, for figures and pages.

    Args:
      run: name of the run's directory.
    """
    scenes, model = self._predictor.reader.scenes, self._predictor.model
    visual_source = scenes and scenes.visual_source(model.reads_alignment)
    predictor = self._predictor
    return PostSource(
      run, None, predictor.protocol, predictor.step, visual_source
    )

  def post(self, fields: Mapping[str, Any]) -> AlignedPost:
    """Returns a post with its maps and without a gold relation.

    Args:
      fields: see `ifa_jax.inference`; `id` names the post.

    Raises:
      ValueError: for an invalid post, with the reason.
      OSError: if its picture cannot be opened.
    """
    fields, reader = self._predictor.complete(fields), self._predictor.reader
    opener = Opener()
    example = reader.read(fields, opener)
    row = _row(fields, example, reader.read_square(fields, opener))
    if reads_caption := self._predictor.model.reads_caption:
      row = row.with_caption(reads_caption)
    batch = trim_text(reader.batch([example], 1), reader.data.text_buckets)
    batch = trim_captions(batch)
    (post,) = self._align([row], batch)
    return post


def read_file(
  aligner: PostAligner, path: str, most: int
) -> Iterator[AlignedPost]:
  """Yields at most `most` posts of a file of JSON lines, see `inference.jsonl`.

  Invalid posts are logged and skipped, and so is the end of a file with more
  posts. A post without an `id` is named after its position in the file.
  """
  num_read = 0
  with jsonl.reading(path) as lines:
    for number, fields in enumerate(lines, start=1):
      if num_read == most:
        _LOG.warning(
          "%s: only the first %d valid posts are shown; --num_posts shows more",
          *(path, most),
        )
        return
      named = {"id": f"post {number}", **fields}
      try:
        post = aligner.post(named)
      except (ValueError, OSError) as error:
        _LOG.warning("%s: skipped %s: %s", path, named["id"], error)
        continue
      num_read += 1
      yield post


def _row(
  fields: Mapping[str, Any], example: Example, square: np.ndarray | None
) -> DisplayRow:
  """Returns a post for display.

  Args:
    square: the whole picture, uint8[size, size, 3].
  """
  image = fields.get("image")
  is_path = isinstance(image, (str, os.PathLike))
  text = example.text._replace(
    id=_writable(str(fields.get("id", ""))),
    img_id=_writable(os.path.basename(image)) if is_path else "",
  )
  whole = [] if square is None else [square]
  row = DisplayRow(
    text,
    example.picture_size,
    example.boxes,
    {
      field: [*map(decode.encode_png, squares)]
      for field, squares in {**example.squares, "image": whole}.items()
    },
  )
  if not example.regions:
    return row
  num_objects, scene = int(example.regions["region_mask"].sum()), example.scene
  if scene is not None:
    scene = scene._replace(labels=[*map(_writable, scene.labels)])
  return row.with_objects(scene, num_objects)


def _writable(text: str) -> str:
  """Replaces unpaired surrogates, which cannot be written to a file, by "?"."""
  return text.encode("utf-8", "replace").decode()
