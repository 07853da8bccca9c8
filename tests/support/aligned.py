"""Posts with random maps, and maps by plain loops, for the alignment tests."""

import numpy as np

from ifa_jax.analyze.alignment import map_kinds, maps, readers
from ifa_jax.analyze.alignment.posts import AlignedPost, DisplayRow
from ifa_jax.data.images import decode
from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.row_text import RowText

PATCH = 8
SIZES = {"image": 56, "grounded": 32, "detected": 16}
SLOTS = (("image", 1, 56), ("grounded", 3, 32), ("detected", 3, 16))
NUM_LAYERS = 2


def loop_cell(attention, tokens, keys):
  """Averages over some tokens the sum over some keys of float[T, S]."""
  total = 0.0
  for token in tokens:
    for key in keys:
      total += float(attention[token, key])
  return total / len(tokens)


def random_attention(rng, num_tokens, num_visual, empty=()):
  """Returns float64[layers, T, P+T] whose rows sum to 1, 0 at empty keys."""
  shape = (NUM_LAYERS, num_tokens, num_visual + num_tokens)
  weights = rng.random(shape) ** 4
  weights[..., list(empty)] = 0.0
  return weights / weights.sum(axis=-1, keepdims=True)


def align_pixels(attention, text, slots, masks):
  """Returns the maps of float[layers, T, P+T].

  Args:
    slots: every picture that has keys, from `place_pictures`.
    masks: field -> True for each of its slots with a picture.
  """
  there = [slot for slot in slots if masks[slot.field][slot.index]]
  kind = map_kinds.of_attention(len(attention), slots)
  return maps.align(attention, text, there, kind)


def make_text(word_ids, words, spans, markers) -> RowText:
  """Returns a text with placeholder token ids.

  Args:
    word_ids: the word of each token, -1 for none.
    words: as they are written.
    spans: "head" and "tail" -> words [begin, end).
    markers: tokens of the opening markers of head and tail.
  """
  encoded = Encoded([0] * len(word_ids), list(word_ids), *map(int, markers))
  words = list(words)
  return RowText(
    "test/1", "a.jpg", words, spans["head"], spans["tail"], {}, encoded
  )


def random_square(rng, size):
  """Returns the PNG file of a square of noise."""
  return decode.encode_png(rng.integers(0, 256, (size, size, 3), np.uint8))


def make_post(
  number=1,
  words=("Ann", "joins", "Acme"),
  num_squares=(1, 1, 2),
  boxed=True,
  probability=0.6,
  blanked=0.5,
  gold="a",
) -> AlignedPost:
  """Returns a post whose first word is the head and whose last is the tail.

  Args:
    number: of its id.
    words: two or more, of one token each.
    num_squares: pictures, grounded and detected crops.
    boxed: whether the crops are boxes on the picture.
    probability: of the relation "a"; the rest is "b"'s.
    blanked: the same without pictures.
    gold: "a" or "b".
  """
  rng = np.random.default_rng(number)
  there = dict(zip(SIZES, num_squares, strict=True))
  words = list(words)
  spans = {"head": (0, 1), "tail": (len(words) - 1, len(words))}
  # [CLS] <s> head </s> ... <o> tail </o> [SEP]
  word_ids = [-1, -1, 0, -1, *range(1, len(words) - 1), -1]
  tail_start = len(word_ids) - 1
  word_ids += [len(words) - 1, -1, -1]
  places = readers.place_pictures(SLOTS, PATCH)
  masks = {
    field: [i < there[field] for i in range(count)] for field, count, _ in SLOTS
  }
  empty = [
    key
    for place in places
    if not masks[place.field][place.index]
    for key in range(place.keys.start, place.keys.stop)
  ]
  attention = random_attention(rng, len(word_ids), 1 + 49 + 48 + 12, empty)
  boxes = {
    kind: [(10.0 + i, 20.0, 60.0 + 5 * i, 60.0) for i in range(there[kind])]
    for kind in ("grounded", "detected")
  }
  text = make_text(word_ids, words, spans, (1, tail_start))
  text = text._replace(id=f"test/{number}", num_squares=there)
  row = DisplayRow(
    text=text,
    picture_size=(100, 80) if there["image"] else (0, 0),
    boxes=boxes if boxed else {kind: [] for kind in boxes},
    squares={
      field: [random_square(rng, SIZES[field]) for _ in range(count)]
      for field, count in there.items()
    },
  )
  return AlignedPost(
    row=row,
    gold=gold,
    probabilities={"a": probability, "b": 1 - probability},
    blanked={"a": blanked, "b": 1 - blanked},
    alignment=align_pixels(attention, text, places, masks),
    sizes=SIZES,
  )
