"""Turns posts into the inputs of a trained model."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ifa_jax.batch import Batch
from ifa_jax.data.images import boxes
from ifa_jax.data.images.boxes import Box
from ifa_jax.data.mnre.row import is_text
from ifa_jax.data.scenes import region_features as regions
from ifa_jax.data.scenes.store import Scene
from ifa_jax.data.text import captions, layouts
from ifa_jax.data.text import vocabulary as words
from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.markers import Cut
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.files.shown import shown
from ifa_jax.inference.images import Opened, Opener
from ifa_jax.inference.post import read_post
from ifa_jax.inference.sharing.record import DataSettings, PredictionSettings
from ifa_jax.models.base import System
from ifa_jax.workdir.run_folder import SCENES_FILE, VOCABULARY_FILE, RunFolder

if TYPE_CHECKING:
  from ifa_jax.inference.scenes import PostScenes


class Example(NamedTuple):
  """A post as model inputs.

  Attributes:
    text: words and WordPieces.
    squares: field of a batch -> its pictures, uint8[size, size, 3] each.
    regions: field of a batch -> its row, see `region_features.one_row`.
    names: the words of head and tail.
    picture_size: (width, height) of the picture, (0, 0) without one.
    boxes: "grounded" or "detected" -> (x0, y0, x1, y1) of each crop among
      `squares`, in pixels of the picture.
    scene: the objects of `regions`, if there are any.
  """

  text: RowText
  squares: dict[str, list[np.ndarray]]
  regions: dict[str, np.ndarray]
  names: tuple[str, str]
  picture_size: tuple[int, int]
  boxes: dict[str, list[tuple[float, ...]]]
  scene: Scene | None


@dataclasses.dataclass(frozen=True)
class Reader:
  """Reads posts for one model.

  Attributes:
    model: config of the model.
    data: settings of the run's `data` section that affect reading.
    protocol: of the training data.
    image_size: side of a whole picture's square in the data, in pixels.
    tokenizer: of the data.
    vocabulary: for a model that reads words.
    scenes: for a model that reads regions.
  """

  model: System
  data: DataSettings
  protocol: str
  image_size: int
  tokenizer: Tokenizer
  vocabulary: words.Vocabulary | None
  scenes: "PostScenes | None"

  @classmethod
  def open(
    cls, path: str | os.PathLike, settings: PredictionSettings
  ) -> "Reader":
    """Opens tokenizer, vocabulary and scene encoder in a model's folder.

    Args:
      path: of a run folder, or of a shared one.
      settings: of the model.

    Raises:
      ValueError: if a file is missing, or the objects' features cannot be
        computed for other pictures.
    """
    folder, model = RunFolder(path), settings.model
    vocabulary = scenes = None
    if model.reads_words:
      vocabulary = words.Vocabulary.load(folder.file(VOCABULARY_FILE))
    if model.regions is not None:
      # Loads `convert`, for the encoder of objects.
      from ifa_jax.inference.scenes import PostScenes

      manifest = folder.read_json(SCENES_FILE)
      scenes = PostScenes(manifest, folder.path)
    return cls(
      model,
      settings.data,
      settings.protocol,
      settings.image_size,
      Tokenizer.load(folder.file("tokenizer"), settings.tokenizer_sha256),
      vocabulary,
      scenes,
    )

  def read(
    self, fields: Mapping[str, Any], opener: Opener | None = None
  ) -> Example:
    """Reads one post.

    Args:
      fields: of the post.
      opener: shared by posts that may have the same picture.

    Raises:
      ValueError: for an invalid post, with the reason.
      OSError: if its picture cannot be opened.
    """
    pair = "head, tail", read_post(fields)
    return next(self.read_pairs([pair], fields, opener))

  def read_pairs(
    self,
    pairs: Iterable[tuple[str, Cut]],
    fields: Mapping[str, Any],
    opener: Opener | None = None,
  ) -> Iterator[Example]:
    """Yields the inputs of pairs of entities of one post; see `read`.

    Args:
      pairs: the names of each pair's fields, and the post's text with it.
      fields: of the post; its picture is read once.
      opener: shared by posts that may have the same picture.
    """
    picture, listed, scene = None, [], None
    if self.model.opens_pictures:
      picture = (opener or Opener()).open(fields)
      listed = boxes.read_list(fields.get("boxes") or [], "boxes")
    if picture is None:
      listed = []
    elif self.scenes is not None:
      scene = self.scenes.scene(picture.image, listed)
    for names, post in pairs:
      text = self._read_text(names, post, fields.get("caption"))
      chosen = self._choose_boxes(post, listed)
      yield Example(
        text,
        self._cut_squares(picture, chosen) if picture else {},
        self._find_regions(text, scene),
        post.names,
        picture.image.size if picture else (0, 0),
        chosen,
        scene,
      )

  def num_unknown(self, example: Example) -> int:
    """Returns the number of words with an [UNK], for a model of WordPieces."""
    if self.model.text is None:
      return 0
    return self.tokenizer.num_unknown(example.text.encoded)

  def read_square(
    self, fields: Mapping[str, Any], opener: Opener
  ) -> np.ndarray | None:
    """Returns the whole picture, uint8[image_size, image_size, 3], or None.

    Raises:
      ValueError: if the picture cannot be opened.
    """
    picture = opener.open(fields) if self.model.sees_pictures else None
    return picture.square(self.image_size, self._resize) if picture else None

  def batch(self, examples: Sequence[Example], rows: int) -> Batch:
    """Returns a numpy batch, filled up to `rows` with the first example.

    Args:
      examples: at most `rows` of them.
      rows: B.
    """
    filled = [*examples, *[examples[0]] * (rows - len(examples))]
    texts, every = [example.text for example in filled], np.arange(rows)
    text_len, caption_len = self.data.text_len, self.data.caption_len
    if self.model.reads_caption == "segment":
      read = captions.segment_reader(texts, text_len, caption_len)
    else:
      read = layouts.text_reader(texts, text_len)
    fields = read(every, every)
    if self.model.reads_caption == "stream":
      fields |= captions.stream_reader(texts, caption_len)(every, every)
    if self.vocabulary is not None:
      most = self.model.max_words
      fields |= words.word_reader(texts, self.vocabulary, most)(every, every)
    for name in filled[0].regions:
      fields[name] = np.stack([example.regions[name] for example in filled])
    fields.setdefault("token_type_ids", np.zeros_like(fields["input_ids"]))
    return Batch(**fields, **self._stack_squares(filled))

  @property
  def _resize(self) -> str:
    """The form of squares, see `decode.fit`; regions have none."""
    return getattr(self.model.vision, "resize", "fit")

  def _encode(self, post: Cut) -> Encoded:
    most = self.data.text_len
    encoded = self.tokenizer.encode(post.words, post.head, post.tail, most)
    if self.model.text is not None and self.data.layout == "opennre":
      ids = self.tokenizer.ids_of(layouts.OPENNRE_MARKERS)
      encoded = layouts.opennre(encoded, post.head, post.tail, ids, most)
    return encoded

  def _read_text(self, names: str, post: Cut, caption: Any) -> RowText:
    try:
      encoded = self._encode(post)
    except ValueError as error:
      raise ValueError(f"{names}: {error}") from None
    text = RowText("", "", post.words, post.head, post.tail, {}, encoded)
    if caption is None or not self.model.reads_caption:
      return text
    if not is_text(caption):
      raise ValueError(f"caption: expected one text, got {shown(caption)}")
    most = self.data.caption_len
    return text._replace(caption=self.tokenizer.encode_caption(caption, most))

  def _choose_boxes(
    self, post: Cut, listed: Sequence[Box]
  ) -> dict[str, list[tuple[float, ...]]]:
    """Returns the edges of the model's crops, by field."""
    grounded = self.protocol != "none"
    found = {
      "detected": boxes.detected(listed),
      "grounded": boxes.grounded(listed, *post.names) if grounded else [],
    }
    return {
      field: [box.edges for box in found[field][:count]]
      for field, count, _ in self.model.picture_slots
      if field in found
    }

  def _cut_squares(
    self, picture: Opened, chosen: Mapping[str, Sequence[tuple[float, ...]]]
  ) -> dict[str, list[np.ndarray]]:
    """Cuts the model's squares out of a picture."""
    return {
      field: [
        picture.square(size, self._resize, edges)
        # Only the whole picture has no box.
        for edges in chosen.get(field, [None])
      ]
      for field, _, size in self.model.picture_slots
    }

  def _find_regions(
    self, text: RowText, scene: Scene | None
  ) -> dict[str, np.ndarray]:
    if self.scenes is None:
      return {}
    return regions.one_row(
      scene,
      self.scenes.heads(text.words),
      len(text.words),
      text.encoded.word_ids,
      regions.RegionGeometry.of(self.model, self.data.text_len),
    )

  def _stack_squares(self, examples: Sequence[Example]) -> dict[str, Any]:
    """Returns the pictures of a batch with their masks."""
    fields, rows = {}, len(examples)
    for field, count, size in self.model.picture_slots:
      pixels = np.zeros((rows, count, size, size, 3), np.uint8)
      there = np.zeros((rows, count), bool)
      for row, example in enumerate(examples):
        for slot, square in enumerate(example.squares.get(field, [])):
          pixels[row, slot], there[row, slot] = square, True
      if field == "image":
        pixels, there = pixels[:, 0], there[:, 0]
      fields |= {field: pixels, f"{field}_mask": there}
    return fields
