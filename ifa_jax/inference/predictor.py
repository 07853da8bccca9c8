"""Relations of one's own posts, from a trained run.

predictor = ifa_jax.Predictor("runs/objects")
predictor.predict({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                   "image": "ann.jpg"})
-> {"relation": "/per/org/member_of", "probability": 0.93, ...}
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ifa_jax.inference import seen_kinds
from ifa_jax.inference.boxes import FoundObjects
from ifa_jax.inference.images import Opener
from ifa_jax.inference.kept import kept
from ifa_jax.inference.predict_step import PredictionStep
from ifa_jax.inference.reader import Example, Reader
from ifa_jax.inference.sharing import sources
from ifa_jax.inference.sharing.shareable import Shareable
from ifa_jax.runtime.prefetch import read_ahead

_log = logging.getLogger("ifa_jax")

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

# Each may hold a picture open, of up to 256 MB.
_MAX_THREADS = 8
# Posts in a row that one thread reads; it opens a picture they share once.
_MAX_SHARING = 8

Fields = Mapping[str, Any]


class Predictor(Shareable):
  """A trained model that predicts posts; holds its parameters on one device.

  `from_pretrained`, `save_pretrained` and `push_to_hub` are those of
  `Shareable`.

  Attributes:
    model: the run's, its settings.
    step: of the run's best checkpoint.
    reader: reads posts as the model does.
    relations: names by id.
    protocol: of the data that the run was trained on.
  """

  def __init__(
    self, workdir: str | os.PathLike, finder: "ObjectFinder | None" = None
  ):
    """Loads the run's best checkpoint and its tokenizer.

    Args:
      workdir: the run's folder, or one that `save_pretrained` wrote.
      finder: finds the objects of pictures that come without boxes; None: such
        a picture has no objects.

    Raises:
      ValueError: if the folder holds no run, or one without a checkpoint.
    """
    self._source = sources.open_folder(workdir)
    settings = self._source.settings
    self.model = settings.model
    self.relations = settings.relations
    self.protocol = settings.protocol
    self.reader = Reader.open(self._source.path, settings)
    self.step, params = self._source.load()
    self._trained_with = settings.trained_with
    self._objects = None
    if finder and "objects" in self._trained_with:
      grounds = self.protocol != "none"
      self._objects = FoundObjects(finder, grounds)
    buckets = settings.data.text_buckets
    self._step = PredictionStep(self.model, params, buckets)
    self._warn_of_leak()

  def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of parameters and batches; see `PredictionStep`."""
    return self._step.bind(function)

  def complete(self, post: Fields) -> Fields:
    """Returns a post with the boxes that the finder finds in its picture.

    The post as it is, if it has no picture or has boxes already, be they an
    empty list, if there is no finder or the run was trained without objects, or
    if the post cannot be read, which reading it says why.
    """
    return next(self._complete_all([post]))

  def predict(self, post: Fields) -> dict[str, Any]:
    """Returns a post's relation and all probabilities; see `ifa_jax.inference`.

    Raises:
      ValueError: for a post that cannot be read, saying what is wrong.
    """
    example = self.reader.read(self.complete(post))
    (probabilities,) = self._collect(self._start([example], rows=1))
    return self._record(post, example, probabilities)

  def predict_all(
    self, posts: Iterable[Fields], batch_size: int = 32
  ) -> Iterator[dict[str, Any]]:
    """Yields a record for each post, in order, a batch at a time.

    A record holds the post's own keys but `boxes` and pictures in bytes, `head`
    and `tail` by name, `relation`, `probability`, `probabilities` and
    `protocol`. A post that cannot be read gets `error` in place of these four,
    and the rest goes on. A post's own values under these names are in `given`.
    Posts are read in threads while the model computes.
    """
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    groups = read_ahead(
      self._read,
      _groups(self._complete_all(posts)),
      most=batch_size,
      # A parser of sentences need not be safe to use from several threads.
      num_threads=threads if self.reader.scenes is None else 1,
    )
    read = itertools.chain.from_iterable(groups)
    # A finder's word on objects needs no other.
    seen = {"objects"} if self._objects else set()
    waiting = None
    while some := list(itertools.islice(read, batch_size)):
      examples = [found for _, found in some if isinstance(found, Example)]
      seen.update(*map(seen_kinds.of_post, examples))
      started = some, examples and self._start(examples, batch_size)
      if waiting:
        yield from self._records(*waiting)
      waiting = started
    if waiting:
      yield from self._records(*waiting)
      seen_kinds.tell_missing(self._trained_with - seen)

  def _warn_of_leak(self) -> None:
    """Logs that boxes of names bias the answer, where training taught so."""
    fields = [field for field, _, _ in self.model.picture_slots]
    if self.protocol == "released" and "grounded" in fields:
      _log.warning(
        "%s: protocol released, whose crops tell the label by their number: the"
        " model reads the number of boxes with the name of head or tail as the"
        " answer",
        self._source.path,
      )

  def _complete_all(self, posts: Iterable[Fields]) -> Iterator[Fields]:
    return self._objects.complete_all(posts) if self._objects else iter(posts)

  def _read(
    self, posts: Sequence[Fields]
  ) -> list[tuple[Fields, Example | str]]:
    """Returns posts with what the model reads, or what is wrong with them."""
    opener, read = Opener(), []
    for post in posts:
      try:
        read.append((post, self.reader.read(post, opener)))
      except (ValueError, OSError) as error:
        read.append((post, str(error)))
    return read

  def _start(self, examples: Sequence[Example], rows: int) -> jax.Array:
    """Has the device compute float32[rows, C]."""
    return self._step.start(self.reader.batch(examples, rows))

  def _collect(self, started: jax.Array) -> np.ndarray:
    """Waits for float32[rows, C]."""
    probabilities = np.asarray(started)
    if not np.all(np.isfinite(probabilities)):
      raise ValueError(
        "the model's probabilities are not finite: training has diverged"
      )
    return probabilities

  def _records(self, some, started) -> Iterator[dict[str, Any]]:
    """Yields the records of a batch of read posts."""
    rows = iter(self._collect(started) if len(started) else ())
    for post, found in some:
      if isinstance(found, Example):
        yield self._record(post, found, next(rows))
      else:
        yield kept(post) | {"error": found}

  def _record(
    self, post: Fields, example: Example, probabilities: np.ndarray
  ) -> dict[str, Any]:
    head, tail = example.names
    own = {k: v for k, v in kept(post).items() if k not in _BULKY}
    best = int(probabilities.argmax())
    rounded = [round(float(p), 6) for p in probabilities]
    return {
      **own,
      "head": head,
      "tail": tail,
      "relation": self.relations[best],
      "probability": rounded[best],
      "probabilities": dict(zip(self.relations, rounded, strict=True)),
      "protocol": self.protocol,
    }


def _groups(posts: Iterable[Fields]) -> Iterator[list[Fields]]:
  """Yields posts in a row that share a picture's file, so many at most."""
  for _, sharing in itertools.groupby(posts, key=_file):
    while some := list(itertools.islice(sharing, _MAX_SHARING)):
      yield some


def _file(post: Fields) -> str | None:
  return image if isinstance(image := post.get("image"), str) else None


# What a record leaves out: it is long, and an error's record needs it.
_BULKY = ("boxes", "image_base64")
