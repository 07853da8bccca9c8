"""Predicts the relations of your own posts with a trained model.

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
from ifa_jax.inference.sharing.shareable import Shareable, open_folder
from ifa_jax.runtime.prefetch import read_ahead

_log = logging.getLogger("ifa_jax")

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

# Each may hold an open picture of up to 256 MB.
_MAX_THREADS = 8
# Consecutive posts that one thread reads; a shared picture is opened once.
_MAX_SHARING = 8

# Share of unknown words above which a warning is logged.
_MAX_UNKNOWN = 0.1

Fields = Mapping[str, Any]


class Predictor(Shareable):
  """A trained model that predicts posts; holds its parameters on one device.

  `from_pretrained`, `save_pretrained` and `push_to_hub` are those of
  `Shareable`.

  Attributes:
    model: config of the model.
    step: of the checkpoint.
    reader: turns posts into model inputs.
    relations: names by id.
    protocol: of the training data.
  """

  def __init__(
    self, workdir: str | os.PathLike, finder: "ObjectFinder | None" = None
  ):
    """Loads a run's best checkpoint and its tokenizer.

    Args:
      workdir: a run folder, or a folder written by `save_pretrained`.
      finder: finds the objects of pictures without boxes; None: these have no
        objects.

    Raises:
      ValueError: if the folder holds no run, or one without a checkpoint.
    """
    self._source = open_folder(workdir)
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

    The post is returned unchanged if it has no picture, has boxes (even an
    empty list) or is invalid, if there is no finder, or if the model was
    trained without objects.
    """
    return next(self._complete_all([post]))

  def predict(self, post: Fields) -> dict[str, Any]:
    """Returns a post's relation and all probabilities; see `ifa_jax.inference`.

    Raises:
      ValueError: for an invalid post, with the reason.
    """
    example = self.reader.read(self.complete(post))
    (probabilities,) = self._collect(self._start([example], rows=1))
    return self._record(post, example, probabilities)

  def predict_all(
    self, posts: Iterable[Fields], batch_size: int = 32
  ) -> Iterator[dict[str, Any]]:
    """Yields a record for each post, in order, computed in batches.

    A record holds the post's own keys except `boxes` and pictures in bytes,
    `head` and `tail` by name, `relation`, `probability`, `probabilities` and
    `protocol`. An invalid post has `error` instead of these four. A post's own
    values under these names are in `given`. Posts are read in threads while the
    model computes.
    """
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    groups = read_ahead(
      self._read,
      _groups(self._complete_all(posts)),
      most=batch_size,
      # The dependency parser may not be thread-safe.
      num_threads=threads if self.reader.scenes is None else 1,
    )
    read = itertools.chain.from_iterable(groups)
    # With a finder, pictures without objects are no sign of missing boxes.
    seen = {"objects"} if self._objects else set()
    waiting, num_words, num_unknown = None, 0, 0
    while some := list(itertools.islice(read, batch_size)):
      examples = [found for _, found in some if isinstance(found, Example)]
      seen.update(*map(seen_kinds.of_post, examples))
      num_words += sum(len(example.text.words) for example in examples)
      num_unknown += sum(map(self.reader.num_unknown, examples))
      started = some, examples and self._start(examples, batch_size)
      if waiting:
        yield from self._records(*waiting)
      waiting = started
    if waiting:
      yield from self._records(*waiting)
      seen_kinds.log_missing(self._trained_with - seen)
    if num_unknown > _MAX_UNKNOWN * num_words:
      _log.warning(
        "%d of %d words of the posts are unknown to the tokenizer ([UNK]); is"
        " it for another language?",
        *(num_unknown, num_words),
      )

  def _warn_of_leak(self) -> None:
    """Warns if the number of boxes biases the answer, by the protocol."""
    fields = [field for field, _, _ in self.model.picture_slots]
    if self.protocol == "released" and "grounded" in fields:
      _log.warning(
        "%s: protocol released, whose crops leak the label by their number: the"
        " model reads the number of boxes with the name of head or tail as the"
        " answer",
        self._source.path,
      )

  def _complete_all(self, posts: Iterable[Fields]) -> Iterator[Fields]:
    return self._objects.complete_all(posts) if self._objects else iter(posts)

  def _read(
    self, posts: Sequence[Fields]
  ) -> list[tuple[Fields, Example | str]]:
    """Returns posts with their model inputs, or with their errors."""
    opener, read = Opener(), []
    for post in posts:
      try:
        read.append((post, self.reader.read(post, opener)))
      except (ValueError, OSError) as error:
        read.append((post, str(error)))
    return read

  def _start(self, examples: Sequence[Example], rows: int) -> jax.Array:
    """Starts the computation of float32[rows, C] on the device."""
    return self._step.start(self.reader.batch(examples, rows))

  def _collect(self, started: jax.Array) -> np.ndarray:
    """Waits for float32[rows, C]."""
    probabilities = np.asarray(started)
    if not np.all(np.isfinite(probabilities)):
      raise ValueError(
        "expected finite probabilities, got others: training has diverged"
      )
    return probabilities

  def _records(self, some, started) -> Iterator[dict[str, Any]]:
    """Yields the records of a batch of read posts."""
    rows = iter(self._collect(started) if len(started) else ())
    for post, found in some:
      if isinstance(found, Example):
        yield self._record(post, found, next(rows))
      else:
        yield kept(post, found) | {"error": found}

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
  """Groups consecutive posts that share a picture's file."""
  for _, sharing in itertools.groupby(posts, key=_file):
    while some := list(itertools.islice(sharing, _MAX_SHARING)):
      yield some


def _file(post: Fields) -> str | None:
  return image if isinstance(image := post.get("image"), str) else None


# Long values that a record omits; the record of an error keeps them.
_BULKY = ("boxes", "image_base64")
