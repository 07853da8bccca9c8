"""Relations of one's own posts, from a trained run.

predictor = ifa_jax.Predictor("runs/objects")
predictor.predict({"text": "Ann joins Acme", "head": "Ann", "tail": "Acme",
                   "image": "ann.jpg"})
-> {"relation": "/per/org/member_of", "probability": 0.93, ...}
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ifa_jax import models
from ifa_jax.batch import trim_text
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.examples import Example, Reader
from ifa_jax.models import parameters, settings
from ifa_jax.models.system import System
from ifa_jax.run_folder import RunFolder
from ifa_jax.step import EvalStep


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
    config = settings.from_dict(record["config"]["model"])
    self._buckets = record["config"]["data"]["text_buckets"]
    self.relations = record["dataset"]["relations"]
    self.protocol = record["dataset"]["protocol"]
    self._reader = Reader.of_run(folder, config)
    self._params = jax.device_put(_best_params(folder, config))
    self._step = jax.jit(EvalStep(models.build(config)))

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
      batch = self._reader.batch(examples, batch_size)
      batch = trim_text(batch, self._buckets)
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
      return self._reader.read(post)
    except (ValueError, OSError) as error:
      return str(error)


def _best_params(folder: RunFolder, config: System) -> Any:
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    like = parameters.abstract_params(config)
    return checkpoints.restore_params(checkpoints.best_scored(), like)
