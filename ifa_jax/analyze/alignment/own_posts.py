"""Posts of one's own with their maps, by a run's model.

aligner = alignment_own.PostAligner(ifa_jax.Predictor("runs/objects"))
post = aligner.post({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                     "image": "ann.jpg"})
"""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ifa_jax import models
from ifa_jax.analyze.alignment import readers, rows
from ifa_jax.analyze.alignment.compute import Aligner, Look
from ifa_jax.analyze.alignment.posts import Post, Source
from ifa_jax.batch import trim_text
from ifa_jax.inference import jsonl
from ifa_jax.inference.images import Opener
from ifa_jax.inference.predictor import Predictor

_LOG = logging.getLogger(__name__)


class PostAligner:
  """Turns posts into what can be shown of them; needs no dataset.

  Attributes:
    titles: name of each map -> its title, the one to show first in front.
  """

  def __init__(self, predictor: Predictor):
    """Compiles nothing yet; the first post of each padded length does.

    Raises:
      ValueError: for a model that has no maps, with the reason.
    """
    model, read = predictor.model, predictor.reader
    maps = readers.reader(
      model, read.data.scenes, model.picture_slots, read.image_size
    )
    self.titles = maps.titles
    self._predictor = predictor
    look = predictor.bind(Look(models.build(model), maps.captured))
    self._aligner = Aligner(look, predictor.relations, maps)

  def source(self, run: str) -> Source:
    """Returns what figures and pages say of where posts come from.

    Args:
      run: the name of the run's folder.
    """
    scenes, model = self._predictor.reader.scenes, self._predictor.model
    return Source(
      run,
      None,
      self._predictor.protocol,
      self._predictor.step,
      scenes and scenes.visual_source(model.reads_alignment),
    )

  def post(self, fields: Mapping[str, Any]) -> Post:
    """Returns a post with its maps, and without a gold relation.

    Args:
      fields: as `ifa_jax.inference` describes them; `id` names the post.

    Raises:
      ValueError: for a post that cannot be read, saying what is wrong.
      OSError: if its picture cannot be opened.
    """
    fields, reader = self._predictor.complete(fields), self._predictor.reader
    opener = Opener()
    example = reader.read(fields, opener)
    row = rows.of_example(
      example,
      str(fields.get("id", "")),
      _name_picture(fields.get("image")),
      reader.read_square(fields, opener),
    )
    batch = trim_text(reader.batch([example], 1), reader.data.text_buckets)
    (post,) = self._aligner.posts([row], batch)
    return post


def read_file(aligner: PostAligner, path: str, most: int) -> Iterator[Post]:
  """Yields the first posts of a file of JSON lines.

  A post without an `id` is named after its place among them. One that cannot be
  read is told and passed over.

  Args:
    aligner: what makes posts of lines.
    path: of the file, see `ifa_jax.inference.jsonl`.
    most: posts to yield.
  """
  with jsonl.reading(path) as lines:
    for number, fields in enumerate(lines, start=1):
      named = {"id": f"post {number}", **fields}
      try:
        post = aligner.post(named)
      except (ValueError, OSError) as error:
        _LOG.warning("%s: passed over %s: %s", path, named["id"], error)
        continue
      yield post
      most -= 1
      if not most:
        return


def _name_picture(image: Any) -> str:
  """Returns the name of a picture's file, nothing for one in memory."""
  is_path = isinstance(image, (str, os.PathLike))
  return os.path.basename(image) if is_path else ""
