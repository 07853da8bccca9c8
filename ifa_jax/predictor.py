"""Relations of one's own posts, from a trained run.

predictor = ifa_jax.Predictor("runs/objects")
predictor.predict({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                   "image": "ann.jpg"})
-> {"relation": "/per/org/member_of", "probability": 0.93, ...}
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ifa_jax import models
from ifa_jax.batch import trim_text
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.data import pictures
from ifa_jax.examples import Example, Reader
from ifa_jax.models import parameters, settings
from ifa_jax.models.system import System
from ifa_jax.posts import read_post
from ifa_jax.run_folder import RunFolder
from ifa_jax.step import EvalStep

if TYPE_CHECKING:
  from ifa_jax.object_finder import ObjectFinder


class Predictor:
  """A trained run that predicts posts; holds its parameters on one device.

  Attributes:
    model: the run's, its settings.
    step: of the run's best checkpoint.
    params: of that, on the device.
    reader: reads posts as the model does.
    relations: names by id.
    protocol: of the data that the run was trained on.
  """

  def __init__(
    self, workdir: str | os.PathLike, finder: "ObjectFinder | None" = None
  ):
    """Loads the run's best checkpoint and its tokenizer.

    Args:
      workdir: the run's folder.
      finder: finds the objects of pictures that come without boxes; None: such
        a picture has no objects.

    Raises:
      ValueError: if the folder holds no run, or one without a checkpoint.
    """
    folder = RunFolder(workdir)
    record = folder.read_record()
    self.model = settings.from_dict(record["config"]["model"])
    self._buckets = record["config"]["data"]["text_buckets"]
    self.relations = record["dataset"]["relations"]
    self.protocol = record["dataset"]["protocol"]
    self.reader = Reader.of_run(folder, self.model)
    self.step, params = _load_best(folder, self.model)
    self.params = jax.device_put(params)
    self._finder = finder
    self._step = jax.jit(EvalStep(models.build(self.model)))

  def complete(self, post: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a post with the boxes that the finder finds in its picture.

    The post as it is, if it has no picture, has boxes already, be they an empty
    list, or if there is no finder or the model looks at no objects.

    Raises:
      ValueError: for a post that cannot be read, saying what is wrong.
    """
    has_boxes = post.get("boxes") is not None
    if self._finder is None or has_boxes or post.get("image") is None:
      return post
    if not _looks_at_objects(self.model):
      return post
    names = () if self.protocol == "none" else read_post(post).names()
    picture = pictures.open_picture(post["image"])
    (found,) = self._finder.find([picture], [names])
    return {**post, "boxes": found}

  def predict(self, post: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a post's relation and all probabilities; see `ifa_jax.posts`.

    Raises:
      ValueError: for a post that cannot be read, saying what is wrong.
      OSError: if its picture cannot be opened.
    """
    prediction = next(self.predict_all([post], batch_size=1))
    if "error" in prediction:
      raise ValueError(prediction["error"])
    return prediction

  def predict_all(
    self, posts: Iterable[Mapping[str, Any]], batch_size: int = 32
  ) -> Iterator[dict[str, Any]]:
    """Yields a record for each post, in order, a batch at a time.

    A record holds the post's own keys but `boxes` and `error`, `head` and
    `tail` by name, `relation`, `probability`, `probabilities` and `protocol`.
    A post that cannot be read gets `error` in place of these four, and the
    rest goes on.
    """
    posts = iter(posts)
    while some := list(itertools.islice(posts, batch_size)):
      yield from self._predict_some(some, batch_size)

  def _predict_some(self, posts, batch_size: int) -> Iterator[dict[str, Any]]:
    read = [self._read(post) for post in posts]
    examples = [example for example in read if isinstance(example, Example)]
    probabilities = iter(())
    if examples:
      batch = self.reader.batch(examples, batch_size)
      batch = trim_text(batch, self._buckets)
      probabilities = iter(np.asarray(self._step(self.params, batch)))
    for post, example in zip(posts, read, strict=True):
      # An error may come from a post that was a record once.
      kept = {k: v for k, v in post.items() if k not in ("boxes", "error")}
      if isinstance(example, str):
        yield kept | {"error": example}
      else:
        head, tail = example.names
        found = self._describe(next(probabilities))
        yield {"head": head, "tail": tail} | kept | found

  def _describe(self, probabilities: np.ndarray) -> dict[str, Any]:
    best = int(probabilities.argmax())
    rounded = [round(float(p), 6) for p in probabilities]
    return {
      "relation": self.relations[best],
      "probability": rounded[best],
      "probabilities": dict(zip(self.relations, rounded, strict=True)),
      "protocol": self.protocol,
    }

  def _read(self, post: Mapping[str, Any]) -> Example | str:
    """Returns a post as the model reads it, or what is wrong with it."""
    try:
      return self.reader.read(self.complete(post))
    except (ValueError, OSError) as error:
      return str(error)


def _looks_at_objects(model: System) -> bool:
  fields = (field for field, _, _ in model.picture_slots)
  return model.regions is not None or any(name != "image" for name in fields)


def _load_best(folder: RunFolder, config: System) -> tuple[int, Any]:
  """Returns the best checkpoint's step and parameters."""
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    step = checkpoints.best_scored()
    like = parameters.abstract_params(config)
    return step, checkpoints.restore_params(step, like)
