"""Relations of one's own posts, from a trained run.

predictor = ifa_jax.Predictor("runs/objects")
predictor.predict({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                   "image": "ann.jpg"})
-> {"relation": "/per/org/member_of", "probability": 0.93, ...}
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ifa_jax import models
from ifa_jax.batch import Batch, trim_text
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.data import boxes, pictures
from ifa_jax.data.tokenization import Encoded, Tokenizer
from ifa_jax.models import parameters, settings
from ifa_jax.posts import Post, read_post
from ifa_jax.run_folder import RunFolder
from ifa_jax.step import EvalStep


class Example(NamedTuple):
  """A post as a model reads it.

  Attributes:
    encoded: its text.
    squares: field of a batch -> its pictures, uint8[size, size, 3] each.
    names: the words of head and tail.
  """

  encoded: Encoded
  squares: dict[str, list[np.ndarray]]
  names: tuple[str, str]


class Predictor:
  """A trained run that predicts posts; holds its parameters on one device.

  Attributes:
    relations: names by id.
    protocol: of the data that the run was trained on.
  """

  def __init__(self, workdir: str | os.PathLike):
    """Loads the run's best checkpoint and its tokenizer.

    Raises:
      ValueError: if the folder holds no run, or one without a checkpoint.
    """
    folder = RunFolder(workdir)
    record = folder.read_record()
    self._model_config = settings.from_dict(record["config"]["model"])
    self._data = record["config"]["data"]
    self.relations = record["dataset"]["relations"]
    self.protocol = record["dataset"]["protocol"]
    self._tokenizer = Tokenizer.load(folder.file("tokenizer"))
    self._params = jax.device_put(_best_params(folder, self._model_config))
    self._step = jax.jit(EvalStep(models.build(self._model_config)))

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
      batch = make_batch(
        examples, batch_size, self._model_config, self._data["text_len"]
      )
      batch = trim_text(batch, self._data["text_buckets"])
      probabilities = iter(np.asarray(self._step(self._params, batch)))
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
      read = read_post(post)
      encoded = self._tokenizer.encode(
        read.words, read.head, read.tail, self._data["text_len"]
      )
      return Example(encoded, self._squares(post, read), read.names())
    except (ValueError, OSError) as error:
      return str(error)

  def _squares(self, post, read: Post) -> dict[str, list[np.ndarray]]:
    """Cuts what the model looks at out of a post's picture."""
    slots = self._model_config.picture_slots
    if post.get("image") is None or not slots:
      return {}
    if not isinstance(post["image"], (str, bytes, os.PathLike)):
      raise ValueError(f"image: want a file, found {post['image']!r}")
    picture = pictures.open_picture(post["image"])
    listed = boxes.read_list(post.get("boxes") or [], "boxes")
    chosen = {
      "detected": boxes.detected(listed),
      "grounded": boxes.grounded(listed, *read.names())
      if self.protocol != "none"
      else [],
    }
    squares = {}
    for field, count, size in slots:
      parts = (
        [picture]
        if field == "image"
        else [pictures.cut(picture, box.edges) for box in chosen[field][:count]]
      )
      squares[field] = [pictures.fit(part, size) for part in parts]
    return squares


def make_batch(
  examples: list[Example],
  rows: int,
  config: models.ModelConfig,
  text_len: int,
) -> Batch:
  """Returns a batch of numpy arrays, filled up to `rows` with blank posts."""
  ids = np.zeros((rows, text_len), np.int32)
  mask = np.zeros((rows, text_len), bool)
  starts = np.zeros((2, rows), np.int32)
  for i, (encoded, *_) in enumerate(examples):
    length = len(encoded.input_ids)
    ids[i, :length], mask[i, :length] = encoded.input_ids, True
    starts[:, i] = encoded.head_start, encoded.tail_start
  # A row without any token would have an empty softmax.
  mask[len(examples) :, 0] = True
  visual = {}
  for field, count, size in config.picture_slots:
    pixels = np.zeros((rows, count, size, size, 3), np.uint8)
    there = np.zeros((rows, count), bool)
    for i, (_, squares, _) in enumerate(examples):
      for slot, square in enumerate(squares.get(field, [])):
        pixels[i, slot], there[i, slot] = square, True
    if field == "image":
      pixels, there = pixels[:, 0], there[:, 0]
    visual |= {field: pixels, f"{field}_mask": there}
  return Batch(ids, mask, np.zeros_like(ids), *starts, **visual)


def _best_params(folder: RunFolder, config: models.ModelConfig) -> Any:
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    like = parameters.abstract_params(config)
    return checkpoints.restore_params(checkpoints.best_scored(), like)
