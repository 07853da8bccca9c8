"""What a run's model reads of a dataset beside its records' ids and pixels.

Words by the run's own vocabulary, regions and structural alignment from scenes
(`data.scenes.store`), and WordPieces in another layout (`data.layout`).
"""

import dataclasses
import functools
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ifa_jax.data.scenes import region_features, store
from ifa_jax.data.scenes.region_features import RegionGeometry, RegionReader
from ifa_jax.data.scenes.store import Scenes
from ifa_jax.data.schema import Prepared
from ifa_jax.data.text import layouts
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


class Inputs:
  """Reads words, regions and texts of the splits of one dataset."""

  def __init__(self, config: RunConfig, prepared: Prepared):
    """Reads nothing yet.

    Args:
      config: of the run; sizes that the data decides may be None.
      prepared: the dataset.
    """
    self._data = config.data
    self._weights = config.weights
    self._model = config.model
    self._prepared = prepared
    # By split, each made when it is first asked for.
    self._texts: dict[str, list[RowText]] = {}
    self._scenes: dict[str, Scenes | None] = {}
    self._regions: dict[str, RegionReader] = {}
    self._readers: dict[str, list[Reader]] = {}

  @functools.cached_property
  def vocabulary(self) -> Vocabulary:
    """The words of `data.word_vectors`, or else of the training texts."""
    if self._vectors is not None:
      return Vocabulary.of_vectors(self._vectors)
    # Loads TensorFlow, which posts of one's own do without.
    from ifa_jax.data.pipeline.dataset import Split

    train = Split(self._prepared.folder, "train")
    return Vocabulary.of_texts(self.texts(train))

  @property
  def word_vectors_file(self) -> str | None:
    """The file of pretrained word vectors, for a model that reads words."""
    return self._data.word_vectors if self._model.reads_words else None

  @functools.cached_property
  def _vectors(self) -> words.Vectors | None:
    path = self._data.word_vectors
    return words.read_vectors(path) if path else None

  @property
  def feature_dim(self) -> int:
    """Dv, the width of the features of scenes."""
    vectors = self._label_vectors
    dim = vectors.dim if vectors else None
    return region_features.feature_dim(self._read_scenes("train"), dim)

  def start_params(self, params: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's first parameters, with pretrained word vectors if any."""
    if not self._model.reads_words or self._vectors is None:
      return params
    fresh = np.asarray(params["word"]["embedding"])
    table = words.start_table(fresh, self.vocabulary, self._vectors)
    return {**params, "word": {"embedding": table}}

  def files(self) -> dict[str, str]:
    """Returns name -> text of what reading a post of one's own needs."""
    if self._model.reads_words:
      return {VOCABULARY_FILE: self.vocabulary.lines()}
    scenes = self._model.regions and self._read_scenes("train")
    if not scenes:
      return {}
    return {SCENES_FILE: json.dumps(scenes.manifest, indent=2) + "\n"}

  def readers(self, split: "Split") -> list[Reader]:
    """Returns what reads the model's fields of a split's rows."""
    if split.name not in self._readers:
      self._readers[split.name] = self._make_readers(split)
    return self._readers[split.name]

  def _make_readers(self, split: "Split") -> list[Reader]:
    found: list[Reader] = []
    if self._model.text is not None and self._data.layout != "nested":
      text_len = self._data.text_len
      found.append(layouts.text_reader(self.texts(split), text_len))
    if self._model.reads_words:
      most = self._model.max_words
      texts = self.texts(split)
      found.append(words.word_reader(texts, self.vocabulary, most))
    if self._model.regions is not None:
      found.append(self.region_reader(split))
    return found

  def texts(self, split: "Split") -> list[RowText]:
    """Returns the texts of all rows, laid out as the run has them."""
    if split.name not in self._texts:
      rows = [split.describe(row) for row in range(len(split))]
      self._texts[split.name] = [self._lay_out(row) for row in rows]
    return self._texts[split.name]

  def region_reader(self, split: "Split") -> RegionReader:
    """Returns what reads the regions of a split's rows."""
    if split.name not in self._regions:
      self._regions[split.name] = RegionReader(
        self._read_scenes(split.name),
        self.texts(split),
        RegionGeometry.of(self._model, self._data.text_len),
        self._label_vectors,
      )
    return self._regions[split.name]

  def visual_source(self, split: "Split") -> str | None:
    """Returns where regions came from, or None for a model without any."""
    if self._model.regions is None:
      return None
    return self.region_reader(split).visual_source

  def _read_scenes(self, split_name: str) -> Scenes | None:
    folder = self._data.scenes
    if split_name not in self._scenes:
      read = store.read_split(folder, split_name) if folder else None
      self._scenes[split_name] = read
    return self._scenes[split_name]

  @functools.cached_property
  def _label_vectors(self) -> "LabelVectors | None":
    """Word embeddings of class names, where scenes have nothing better."""
    weights, found = self._weights, self._read_scenes("train")
    if self._model.text is None or not weights:
      return None
    if found is None or found.feature_dim or not found.has_labels:
      return None
    # Loads all of `convert`.
    from ifa_jax.convert import cache
    from ifa_jax.convert.label_embeddings import LabelVectors

    if weights == RANDOM:
      return None
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
    if self._data.layout == "nested" or self._model.text is None:
      return text
    encoded = layouts.opennre(
      text.encoded, text.head, text.tail, self._marker_ids,
      self._data.text_len,
    )  # fmt: skip
    return text._replace(encoded=encoded)


def sized(config: RunConfig, prepared: Prepared) -> RunConfig:
  """Returns a config whose model has the sizes that the data decides.

  Raises:
    ValueError: for a size that is set, and not the data's.
  """
  model, inputs = config.model, Inputs(config, prepared)
  if model.reads_words:
    size = len(inputs.vocabulary)
    _check_size("model.vocab_size", model.vocab_size, size)
    model = replace(model, vocab_size=size)
  if model.regions is not None:
    name, dim = "model.regions.feature_dim", inputs.feature_dim
    _check_size(name, model.regions.feature_dim, dim)
    regions = dataclasses.replace(model.regions, feature_dim=dim)
    model = replace(model, regions=regions)
  return dataclasses.replace(config, model=model)


def _check_size(name: str, setting: int | None, size: int) -> None:
  if setting not in (None, size):
    raise ValueError(
      f"{name}: want {size}, as the data has it, found {setting}"
    )
