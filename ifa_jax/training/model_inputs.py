"""Fields of a run's model in addition to its records' ids and pixels.

Words by the run's own vocabulary, regions and structural alignment from scenes
(`data.scenes.store`), and WordPieces in another layout (`data.layout`).
"""

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ifa_jax.data import schema
from ifa_jax.data.scenes import region_features, store
from ifa_jax.data.scenes.region_features import RegionGeometry, RegionReader
from ifa_jax.data.scenes.store import Scenes
from ifa_jax.data.text import captions, layouts
from ifa_jax.data.text import vocabulary as words
from ifa_jax.data.text.row_text import Reader, RowText
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.data.text.vocabulary import Vocabulary
from ifa_jax.models import replace
from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.workdir.run_folder import SCENES_FILE, VOCABULARY_FILE

if TYPE_CHECKING:
  from ifa_jax.convert.label_embeddings import LabelVectors
  from ifa_jax.data.pipeline.dataset import Split

_log = logging.getLogger("ifa_jax")

Value = TypeVar("Value")


def _per_split(
  make: Callable[[Any, Any], Value],
) -> Callable[[Any, Any], Value]:
  """Caches a method of `Inputs` by its split, or by a split's name."""

  @functools.wraps(make)
  def cached(self: "Inputs", split: Any) -> Value:
    key = make.__name__, getattr(split, "name", split)
    if key not in self.made:
      self.made[key] = make(self, split)
    return self.made[key]

  return cached


class Inputs:
  """Reads words, regions and texts of the splits of one dataset."""

  def __init__(self, config: RunConfig, prepared: schema.Prepared):
    """Reads nothing yet; sizes that the data decides may be None."""
    self._data, self._model = config.data, config.model
    self._weights = config.weights
    self._prepared = prepared
    # (method, split) -> result, see `_per_split`.
    self.made: dict[tuple[str, str], Any] = {}

  @functools.cached_property
  def vocabulary(self) -> Vocabulary:
    """The words of `data.word_vectors`, or else of the training texts."""
    if self._vectors is not None:
      return Vocabulary.of_vectors(self._vectors)
    # Loads TensorFlow, which predicting on your own posts does not need.
    from ifa_jax.data.pipeline.dataset import Split

    train = Split(self._prepared.folder, "train")
    return Vocabulary.of_texts(self.texts(train))

  @property
  def word_vectors_file(self) -> str | None:
    """The file of pretrained word vectors, for a model that reads words."""
    return self._data.word_vectors if self._model.reads_words else None

  @functools.cached_property
  def _vectors(self) -> words.Vectors | None:
    path = self.word_vectors_file
    return words.read_vectors(path) if path else None

  @property
  def feature_dim(self) -> int:
    """Dv, the width of the features of scenes."""
    vectors = self._label_vectors
    dim = vectors.dim if vectors else None
    return region_features.feature_dim(self._read_scenes("train"), dim)

  def start_params(self, params: dict[str, Any]) -> dict[str, Any]:
    """Returns initial parameters with those that the data brings.

    These are pretrained word vectors and the features of absent regions.
    """
    scenes = self._model.regions and self._read_scenes("train")
    if scenes and scenes.absent is not None and "pyramid" in params:
      # Only HVPNeT's released form has the parameter.
      found = {"absent": scenes.absent.astype(np.float32)}
      kept = {k: found.get(k, x) for k, x in params["pyramid"].items()}
      return {**params, "pyramid": kept}
    if self._vectors is None:
      return params
    fresh = np.asarray(params["word"]["embedding"])
    table = words.start_table(fresh, self.vocabulary, self._vectors)
    return {**params, "word": {"embedding": table}}

  def files(self) -> dict[str, str]:
    """Returns name -> text of files needed to read posts without the data.

    That of scenes has train's manifest and, as `splits`, the sha256 of each
    split's arrays.
    """
    if self._model.reads_words:
      return {VOCABULARY_FILE: self.vocabulary.lines()}
    if self._model.regions is None:
      return {}
    scenes = {split: self._open_scenes(split) for split in schema.SPLITS}
    if not (train := scenes["train"]):
      return {}
    splits = {split: x.manifest["sha256"] for split, x in scenes.items() if x}
    manifest = {**train.manifest, "splits": splits}
    return {SCENES_FILE: json.dumps(manifest, indent=2) + "\n"}

  @_per_split
  def readers(self, split: "Split") -> list[Reader]:
    """Returns the readers of the model's fields for a split's rows."""
    found: list[Reader] = []
    text_len, caption_len = self._data.text_len, self._data.caption_len
    reads_caption = self._model.reads_caption
    if reads_caption == "segment":
      texts = self.texts(split)
      found.append(captions.segment_reader(texts, text_len, caption_len))
    # Records hold the WordPieces of the nested layout.
    elif self._model.text is not None and self._data.layout != "nested":
      found.append(layouts.text_reader(self.texts(split), text_len))
    if reads_caption == "stream":
      found.append(captions.stream_reader(self.texts(split), caption_len))
    if self._model.reads_words:
      most = self._model.max_words
      texts = self.texts(split)
      found.append(words.word_reader(texts, self.vocabulary, most))
    if self._model.regions is not None:
      found.append(self.region_reader(split))
    return found

  @_per_split
  def texts(self, split: "Split") -> list[RowText]:
    """Returns the texts and captions of all rows, as the run reads them."""
    return [self._lay_out(split.describe(row)) for row in range(len(split))]

  @_per_split
  def region_reader(self, split: "Split") -> RegionReader:
    """Returns the reader of the regions of a split's rows."""
    return RegionReader(
      self._open_scenes(split.name),
      self.texts(split),
      RegionGeometry.of(self._model, self._data.text_len),
      self._label_vectors,
    )

  def visual_source(self, split: "Split") -> str | None:
    """Returns the origin of regions, or None for a model without any."""
    if self._model.regions is None:
      return None
    return self.region_reader(split).visual_source

  @_per_split
  def _open_scenes(self, split_name: str) -> Scenes | None:
    """Reads scenes; warns if their sentences are not the dataset's."""
    scenes = self._read_scenes(split_name)
    text = scenes and scenes.manifest.get("text")
    sources = self._prepared.metadata.get("sources", {}).values()
    # Only the alignment reads parses, which rows find by their id.
    if text and text not in sources and self._model.reads_alignment:
      _log.warning(
        "%s: expected scenes of the texts of %s, got those of another file for"
        " %s, whose parses may belong to other rows; make the scenes again",
        *(self._data.scenes, self._prepared.folder, split_name),
      )
    return scenes

  @_per_split
  def _read_scenes(self, split_name: str) -> Scenes | None:
    folder = self._data.scenes
    scenes = store.read_split(folder, split_name) if folder else None
    # Set for objects that depend on relations, see `data_prep.published_boxes`.
    marked = scenes and scenes.manifest.get("protocol")
    if marked and marked != self._data.protocol:
      raise ValueError(
        f"data.scenes: expected scenes for data.protocol={self._data.protocol},"
        f" got {folder} of boxes that only {marked} may use"
      )
    return scenes

  @functools.cached_property
  def _label_vectors(self) -> "LabelVectors | None":
    """Word embeddings of class names, for scenes without better features."""
    weights, found = self._weights, self._read_scenes("train")
    if self._model.text is None or weights in (None, RANDOM):
      return None
    if found is None or found.feature_dim or not found.has_labels:
      return None
    # Loads all of `convert`.
    from ifa_jax.convert import cache
    from ifa_jax.convert.label_embeddings import LabelVectors

    return LabelVectors(cache.locate(weights), self._tokenizer)

  @functools.cached_property
  def _tokenizer(self) -> Tokenizer:
    folder = os.path.join(self._prepared.folder, "tokenizer")
    sha256 = self._prepared.metadata["tokenizer"]["sha256"]
    return Tokenizer.load(folder, sha256)

  @functools.cached_property
  def _marker_ids(self) -> list[int]:
    return self._tokenizer.ids_of(layouts.OPENNRE_MARKERS)

  def _lay_out(self, text: RowText) -> RowText:
    # The dataset may have longer captions.
    text = text._replace(caption=text.caption.cut(self._data.caption_len))
    if self._data.layout == "nested" or self._model.text is None:
      return text
    encoded = layouts.opennre(
      text.encoded, text.head, text.tail, self._marker_ids, self._data.text_len
    )
    return text._replace(encoded=encoded)


def sized(config: RunConfig, prepared: schema.Prepared) -> RunConfig:
  """Returns a config whose model has the sizes that the data decides.

  Raises:
    ValueError: for a size that is set to another value.
  """
  model, inputs = config.model, Inputs(config, prepared)
  if model.reads_words:
    size = len(inputs.vocabulary)
    _check_size("model.vocab_size", model.vocab_size, size)
    model = replace(model, vocab_size=size)
  if model.regions is not None:
    dim = inputs.feature_dim
    _check_size("model.regions.feature_dim", model.regions.feature_dim, dim)
    regions = dataclasses.replace(model.regions, feature_dim=dim)
    model = replace(model, regions=regions)
  return dataclasses.replace(config, model=model)


def _check_size(name: str, setting: int | None, size: int) -> None:
  if setting not in (None, size):
    raise ValueError(f"{name}: expected {size}, as in the data, got {setting}")
