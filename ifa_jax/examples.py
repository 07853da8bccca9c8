"""Posts of one's own as a trained run's model reads them."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ifa_jax import inputs
from ifa_jax.batch import Batch
from ifa_jax.data import boxes, layouts, pictures, regions, words
from ifa_jax.data.boxes import Box
from ifa_jax.data.pipeline import RowText
from ifa_jax.data.tokenization import Tokenizer
from ifa_jax.models.system import System
from ifa_jax.post_scenes import PostScenes
from ifa_jax.posts import Post, read_post
from ifa_jax.run_folder import RunFolder


class Example(NamedTuple):
  """A post as a model reads it.

  Attributes:
    text: its words and WordPieces.
    squares: field of a batch -> its pictures, uint8[size, size, 3] each.
    regions: field of a batch -> of one row, see `regions.one_row`.
    names: the words of head and tail.
  """

  text: RowText
  squares: dict[str, list[np.ndarray]]
  regions: dict[str, np.ndarray]
  names: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Reader:
  """Reads posts for the model of one run.

  Attributes:
    model: the run's.
    data: the `data` section of its config.
    protocol: of its data.
    tokenizer: of its data.
    vocabulary: its words, for a model that reads any.
    scenes: makes scenes as those of its data, for a model that reads regions.
  """

  model: System
  data: Mapping[str, Any]
  protocol: str
  tokenizer: Tokenizer
  vocabulary: words.Vocabulary | None
  scenes: PostScenes | None

  @classmethod
  def of_run(cls, folder: RunFolder, model: System) -> "Reader":
    """Opens what a run's folder keeps for reading posts.

    Raises:
      ValueError: if something is missing, or the objects' features cannot be
        made for other pictures.
    """
    record = folder.read_record()
    vocabulary = scenes = None
    if model.reads_words:
      path = folder.file(inputs.VOCABULARY_FILE)
      vocabulary = words.Vocabulary.load(path)
    if model.regions is not None:
      manifest = folder.read_json(inputs.SCENES_FILE)
      scenes = PostScenes(manifest, folder.path)
    return cls(
      model,
      record["config"]["data"],
      record["dataset"]["protocol"],
      Tokenizer.load(folder.file("tokenizer")),
      vocabulary,
      scenes,
    )

  def read(self, fields: Mapping[str, Any]) -> Example:
    """Reads one post.

    Raises:
      ValueError: for a post that cannot be read, saying what is wrong.
      OSError: if its picture cannot be opened.
    """
    post = read_post(fields)
    text = self._read_text(post)
    picture, listed = self._open_picture(fields)
    return Example(
      text,
      self._cut_squares(post, picture, listed),
      self._find_regions(text, picture, listed),
      post.names(),
    )

  def batch(self, examples: Sequence[Example], rows: int) -> Batch:
    """Returns a batch of numpy arrays, filled up to `rows` with the first.

    Args:
      examples: at most `rows` of them.
      rows: B.
    """
    filled = [*examples, *[examples[0]] * (rows - len(examples))]
    texts, every = [example.text for example in filled], np.arange(rows)
    fields = layouts.TextReader(texts, self.data["text_len"])(every, every)
    if self.vocabulary is not None:
      most = self.model.max_words
      fields |= words.WordReader(texts, self.vocabulary, most)(every, every)
    for name in filled[0].regions:
      fields[name] = np.stack([example.regions[name] for example in filled])
    blank = np.zeros_like(fields["input_ids"])
    return Batch(token_type_ids=blank, **fields, **self._stack_squares(filled))

  def _read_text(self, post: Post) -> RowText:
    most = self.data["text_len"]
    encoded = self.tokenizer.encode(post.words, post.head, post.tail, most)
    if self.model.text is not None and inputs.layout(self.data) == "opennre":
      ids = self.tokenizer.ids_of(layouts.OPENNRE_MARKERS)
      encoded = layouts.opennre(encoded, post.head, post.tail, ids, most)
    return RowText("", "", post.words, post.head, post.tail, {}, encoded)

  def _open_picture(
    self, fields: Mapping[str, Any]
  ) -> tuple[Image.Image | None, list[Box]]:
    """Returns a post's picture with its boxes, None if no model looks at it."""
    if fields.get("image") is None or not self.model.sees_pictures:
      return None, []
    if not isinstance(fields["image"], (str, bytes, os.PathLike)):
      raise ValueError(f"image: want a file, found {fields['image']!r}")
    picture = pictures.open_picture(fields["image"])
    return picture, boxes.read_list(fields.get("boxes") or [], "boxes")

  def _cut_squares(
    self, post: Post, picture: Image.Image | None, listed: Sequence[Box]
  ) -> dict[str, list[np.ndarray]]:
    """Cuts what the model looks at out of a picture."""
    if picture is None:
      return {}
    grounded = self.protocol != "none"
    chosen = {
      "detected": boxes.detected(listed),
      "grounded": boxes.grounded(listed, *post.names()) if grounded else [],
    }
    squares = {}
    for field, count, size in self.model.picture_slots:
      parts = (
        [picture]
        if field == "image"
        else [pictures.cut(picture, box.edges) for box in chosen[field][:count]]
      )
      squares[field] = [pictures.fit(part, size) for part in parts]
    return squares

  def _find_regions(
    self, text: RowText, picture: Image.Image | None, listed: Sequence[Box]
  ) -> dict[str, np.ndarray]:
    if self.scenes is None:
      return {}
    scene = self.scenes.scene(picture, listed) if picture else None
    return regions.one_row(
      scene,
      self.scenes.heads(text.words),
      len(text.words),
      text.encoded.word_ids,
      inputs.region_geometry(self.model, self.data),
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
