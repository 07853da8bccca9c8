"""Predicts the relations of your own posts with a trained model.

predictor = ifa_jax.Predictor("runs/objects")
predictor.predict({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                   "image": "ann.jpg"})
-> {"relation": "/per/org/member_of", "probability": 0.93, ...}
"""

import functools
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ifa_jax.inference import (
  answers,
  completion,
  questions,
  records,
  seen_kinds,
)
from ifa_jax.inference.answers import Answer
from ifa_jax.inference.choose import Choice
from ifa_jax.inference.post import has_entities
from ifa_jax.inference.predict_step import PredictionStep
from ifa_jax.inference.reader import Example, Reader
from ifa_jax.inference.sharing import hub, sources
from ifa_jax.runtime.prefetch import read_ahead

_log = logging.getLogger("ifa_jax")

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

# Each may hold an open picture of up to 256 MB.
_MAX_THREADS = 8


Fields = Mapping[str, Any]


class Predictor:
  """A trained model that predicts posts; holds its parameters on one device.

  Attributes:
    model: config of the model.
    step: of the checkpoint.
    reader: turns posts into model inputs.
    relations: names by id.
    protocol: of the training data.
    trained_with: kinds of inputs in training, see `seen_kinds`.
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
    self._source = sources.open_folder(workdir)
    settings = self._source.settings
    self.model = settings.model
    self.relations = settings.relations
    self.protocol = settings.protocol
    self.reader = Reader.open(self._source.path, settings)
    self.step, params = self._source.load()
    self.trained_with = settings.trained_with
    self._finder: ObjectFinder | None = None
    self._unread = seen_kinds.unread(self.model, self.trained_with)
    self._reads_boxes = "boxes" not in self._unread
    buckets = settings.data.text_buckets
    self._step = PredictionStep(self.model, params, buckets)
    fields = [field for field, _, _ in self.model.picture_slots]
    if self.protocol == "released" and "grounded" in fields:
      _log.warning(
        "%s: protocol released, whose crops leak the label by their number: the"
        " model reads the number of boxes with the name of head or tail as the"
        " answer",
        self._source.path,
      )
    if finder is not None:
      self.find_with(lambda: finder)

  @classmethod
  def from_pretrained(
    cls,
    folder_or_hub_id: str | os.PathLike,
    finder: "ObjectFinder | None" = None,
    revision: str | None = None,
  ) -> Self:
    """Loads a model that `save_pretrained` or `push_to_hub` wrote.

    Args:
      folder_or_hub_id: a folder, or else "user/name" on the Hugging Face Hub.
      finder: finds objects, see `Predictor`.
      revision: branch, tag or commit on the hub; None: its main branch.

    Raises:
      ValueError: if it can be neither found nor fetched, or is damaged.
    """
    return cls(hub.find(folder_or_hub_id, revision), finder)

  def save_pretrained(
    self,
    folder: str | os.PathLike,
    license: str | None = None,
    dataset: str | None = None,
  ) -> None:
    """Writes a shared folder (`inference.sharing`), completely or not at all.

    Args:
      folder: new or empty; its name is the model's name in the card.
      license: identifier for the model card, such as "apache-2.0".
      dataset: name of the training data for the card, such as "MNRE".

    Raises:
      ValueError: if the folder is not empty, or the run's scores are damaged.
    """
    from ifa_jax.inference.sharing import saving

    name = os.path.basename(os.path.abspath(folder))
    saving.save(self._source, self.step, folder, name, license, dataset)

  def push_to_hub(
    self,
    repo_id: str,
    private: bool = False,
    license: str | None = None,
    dataset: str | None = None,
  ) -> str:
    """Uploads the folder of `save_pretrained`; returns the URL of the commit.

    The token comes from `hf auth login` or the variable HF_TOKEN.

    Args:
      repo_id: "user/name"; created if it is not there.
      private: whether a repository that is created is private; an existing one
        must be.
      license: see `save_pretrained`.
      dataset: see `save_pretrained`.

    Raises:
      ValueError: if the hub cannot be reached or refuses, or the repository is
        public instead of private or holds other files than such a model.
    """
    from ifa_jax.inference.sharing import saving

    with tempfile.TemporaryDirectory(prefix="ifa_jax-") as temporary:
      folder = os.path.join(temporary, "model")
      # Comes first, so that an error leaves no empty repository.
      saving.save(self._source, self.step, folder, repo_id, license, dataset)
      return hub.upload(folder, repo_id, private)

  def find_with(self, load: Callable[[], "ObjectFinder"]) -> None:
    """Finds the objects of pictures without boxes from now on.

    Args:
      load: returns the finder; is not called for a run without objects.
    """
    if "objects" in self.trained_with:
      self._finder = load()
    else:
      _log.warning(
        "%s: no objects are looked for, as the run was trained without any",
        self._source.path,
      )

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

  def predict(
    self, post: Fields, choice: Choice | None = None
  ) -> dict[str, Any]:
    """Returns a post's relation and all probabilities; see `ifa_jax.inference`.

    Args:
      post: with head and tail, or with entities.
      choice: of the relations of entities, see `predict_all`.

    Raises:
      ValueError: for an invalid post, with the reason.
    """
    if has_entities(post):
      (record,) = self.predict_all([post], choice=choice)
      if "error" in record:
        raise ValueError(record["error"])
      return record
    example = self.reader.read(self.complete(post))
    started = self._step(self.reader.batch([example], rows=1))
    probabilities = records.finite(np.asarray(started)[0])
    return records.answered(
      post, example.names, probabilities, self.relations, self.protocol
    )

  def predict_all(
    self,
    posts: Iterable[Fields],
    batch_size: int = 32,
    choice: Choice | None = None,
    skip: int = 0,
  ) -> Iterator[dict[str, Any]]:
    """Yields a record for each post, in order, computed in batches.

    The record of a post with `entities` has their `relations` instead of one
    answer. Its pairs share batches with those of other posts.

    A record holds the post's own keys except `boxes` and pictures in bytes,
    `head` and `tail` by name, `relation`, `probability`, `probabilities` and
    `protocol`. An invalid post has `error` instead of these four. A post's own
    values under these names are in `given`. Posts are read in threads while the
    model computes.

    Args:
      posts: with head and tail, or with entities.
      batch_size: questions of a batch: a post, or a pair of its entities.
      choice: of the relations of entities.
      skip: questions in front of the first batch, see `blocks.cut`.
    """
    choice = choice or Choice()
    choice.check(self.relations)
    found, types = [], set()
    for answer in self._answer_all(posts, batch_size, skip):
      found.append(answer)
      if answer.question.is_last:
        if (entities := answer.question.entities) is not None:
          types.update(entities.types)
        yield answers.record(found, self.relations, self.protocol, choice)
        found = []
    choice.warn_unknown(types, self.relations)

  def _answer_all(
    self, posts: Iterable[Fields], batch_size: int, skip: int
  ) -> Iterator[Answer]:
    """Yields the answer to each question about each post, in order."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    groups = read_ahead(
      functools.partial(questions.read, self.reader),
      questions.grouped(self._complete_all(posts)),
      most=batch_size,
      # The dependency parser may not be thread-safe.
      num_threads=threads if self.reader.scenes is None else 1,
    )
    read = itertools.islice(itertools.chain.from_iterable(groups), skip, None)
    # With a finder, pictures without objects are no sign of missing boxes.
    expected = self.trained_with - ({"objects"} if self._finder else set())
    waiting, tally = None, seen_kinds.Tally(self.reader)
    while some := list(itertools.islice(read, batch_size)):
      examples = [found for _, found in some if isinstance(found, Example)]
      tally.add(examples, [x.post for x, _ in some if x.is_last])
      started = None
      if examples:
        # Computed while the records of the batch before are made.
        started = self._step(self.reader.batch(examples, batch_size))
      if waiting:
        yield from answers.of_batch(*waiting)
      waiting = some, started
    if waiting:
      yield from answers.of_batch(*waiting)
      tally.log(expected)

  def _complete_all(self, posts: Iterable[Fields]) -> Iterator[Fields]:
    posts = map(self._warn_unread, posts)
    if self._finder is None:
      return posts
    return completion.find_boxes(posts, self._finder, self.protocol != "none")

  def _warn_unread(self, post: Fields) -> Fields:
    """Returns a post; logs each field without effect, once."""
    for field in filter(post.get, [*self._unread]):
      self._unread.remove(field)
      seen_kinds.log_unread(field, self.model, self.trained_with)
    pictures = post.get("image"), post.get("image_base64")
    if self._reads_boxes and post.get("boxes") and pictures == (None, None):
      self._reads_boxes = False
      _log.warning("posts: 'boxes' has no effect without a picture")
    return post
