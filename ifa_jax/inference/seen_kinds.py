"""Kinds of inputs of models, in training and in your own posts.

The kinds besides text are "pictures", whole ones, "objects" in them, and their
"captions".
"""

import collections
import difflib
import functools
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ifa_jax.data.schema import Prepared
from ifa_jax.inference.reader import Example, Reader
from ifa_jax.models.base import System
from ifa_jax.workdir.run_folder import SCENES_FILE, RunFolder

_log = logging.getLogger("ifa_jax")

# Share of unknown words above which a warning is logged.
_MAX_UNKNOWN = 0.1
# Keys that other tools have for a field.
_OTHER_NAMES = {
  "image": ("picture", "img", "photo", "image_path", "img_path", "img_id"),
  "boxes": ("objects", "bboxes", "bbox", "detections"),
  "caption": ("description", "captions"),
}


class Tally:
  """Counts the inputs of posts, to report missing and misspelled ones."""

  def __init__(self, reader: Reader):
    """Begins with no post; `reader` has read those that are added."""
    self._reader = reader
    self._kinds: set[str] = set()
    self._meant: collections.Counter[tuple[str, str]] = collections.Counter()
    self._num_words = self._num_unknown = 0

  def add(
    self, examples: Iterable[Example], posts: Iterable[Mapping[str, Any]]
  ) -> None:
    """Counts the valid questions of a batch, and the posts that end in it."""
    for post in posts:
      self._meant.update(likely_meant(post, self._reader.model))
    for example in examples:
      self._kinds |= of_post(example)
      self._num_words += len(example.text.words)
      self._num_unknown += self._reader.num_unknown(example)

  def log(self, expected: Collection[str]) -> None:
    """Logs the kinds of inputs that no post has, and odd keys and words."""
    log_missing(frozenset(expected) - self._kinds)
    log_likely_meant(self._meant)
    log_unknown_words(self._num_unknown, self._num_words)


def in_words(model: System, trained_with: Collection[str]) -> str:
  """Returns the inputs of a run, "only the text" or "the text and ..."."""
  fields = {field for field, _, _ in model.picture_slots}
  read = {
    "the text": True,
    "the whole picture": "image" in fields,
    "objects in the picture": _reads_objects(model, trained_with),
    "the picture's caption": model.reads_caption,
  }
  *others, last = [name for name, is_read in read.items() if is_read]
  return f"{', '.join(others)} and {last}" if others else f"only {last}"


def _reads_objects(model: System, trained_with: Collection[str]) -> bool:
  # Regions of other pictures are made as those of the training scenes.
  regions = model.regions is not None and "objects" in trained_with
  return regions or any(slot[0] != "image" for slot in model.picture_slots)


def of_run(folder: RunFolder, model: System) -> set[str]:
  """Returns the kinds that a run's model reads and its data contained."""
  prepared = Prepared("", folder.read_record()["dataset"], {})
  kinds = {
    "pictures" if field == "image" else "objects"
    for field, _, _ in model.picture_slots
    if prepared.has_any(field)
  }
  if folder.read_json(SCENES_FILE) is not None:
    kinds.add("objects")
  if model.reads_caption:
    kinds.add("captions")
  return kinds


def of_post(example: Example) -> set[str]:
  """Returns the kinds that a post has."""
  kinds = {"pictures"} if any(example.picture_size) else set()
  if example.scene is not None or any(example.boxes.values()):
    kinds.add("objects")
  if example.text.caption.words:
    kinds.add("captions")
  return kinds


def unread(model: System, trained_with: Collection[str]) -> list[str]:
  """Returns the fields of posts that a run does not read."""
  objects = _reads_objects(model, trained_with)
  caption = model.reads_caption is not None
  # Captions may be listed by the names of pictures.
  picture = objects or bool(model.picture_slots) or caption
  read = {"boxes": objects, "caption": caption}
  read |= {"image": picture, "image_base64": picture}
  return [field for field, is_read in read.items() if not is_read]


def log_unread(
  field: str, model: System, trained_with: Collection[str]
) -> None:
  """Logs a warning for a field that has no effect."""
  _log.warning(
    "posts: %r has no effect: the run reads %s",
    *(field, in_words(model, trained_with)),
  )


def likely_meant(
  post: Mapping[str, Any], model: System
) -> list[tuple[str, str]]:
  """Returns (key, field) for keys of a post that may be meant as a field.

  Only fields that the model reads and the post lacks. Other keys are returned
  with the prediction, so that a misspelled one is no error.
  """
  fields = ("image", "boxes") * model.opens_pictures
  fields += ("caption",) if model.reads_caption else ()
  return _near(tuple(map(str, post)), fields)


# The posts of a file have the same keys, mostly.
@functools.lru_cache
def _near(
  keys: tuple[str, ...], fields: tuple[str, ...]
) -> list[tuple[str, str]]:
  found = []
  for field in fields:
    if field not in keys and f"{field}_base64" not in keys:
      near = difflib.get_close_matches(field, keys, 1, cutoff=0.8)
      near = near or [key for key in _OTHER_NAMES[field] if key in keys]
      found += [(key, field) for key in near[:1]]
  return found


def log_likely_meant(found: Mapping[tuple[str, str], int]) -> None:
  """Logs a warning for each (key, field) and its number of posts."""
  for (key, field), count in found.items():
    _log.warning(
      "posts: expected the key %r, which the model reads, got %r in its place,"
      " in %d post%s",
      *(field, key, count, "s" * (count > 1)),
    )


def log_missing(missing: frozenset[str]) -> None:
  """Logs a line for kinds of the training data that no post has."""
  if "pictures" in missing:
    _log.info("no post has a picture; the run was trained with pictures")
  elif "objects" in missing:
    _log.info(
      "no post has boxes of objects, which the run was trained with: give them"
      " in the posts, by --boxes, or by --detector and --grounder"
    )
  if "captions" in missing:
    _log.info(
      "no post has a caption; the run was trained with captions: give them in"
      " the posts, or by --captions"
    )


def log_unknown_words(num_unknown: int, num_words: int) -> None:
  """Logs a warning if many words of posts have an [UNK]."""
  if num_unknown > _MAX_UNKNOWN * num_words:
    _log.warning(
      "%d of %d words of the posts are unknown to the tokenizer ([UNK]); is it"
      " for another language?",
      *(num_unknown, num_words),
    )
