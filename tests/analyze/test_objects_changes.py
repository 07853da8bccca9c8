"""Repeated objects, and batches with other objects, on small arrays."""

import types

import numpy as np
import pytest

from ifa_jax.analyze.objects import changes, found, labels
from ifa_jax.analyze.objects.found import Item, Objects
from ifa_jax.batch import Batch

BOX = np.array([0.0, 0.0, 10.0, 10.0])


def item(slot, *edges, label="", field="detected"):
  box = np.array(edges, float) if edges else None
  return Item(field, slot, box, label)


@pytest.mark.parametrize(
  ("edges", "wanted"),
  [
    ((0, 0, 10, 10), 1),
    ((0, 0, 10, 5), 0.5),
    ((5, 5, 15, 15), 25 / 175),
    ((10, 0, 20, 10), 0),
    ((30, 30, 40, 40), 0),
  ],
)
def test_the_intersection_over_the_union(edges, wanted):
  other = np.array(edges, float)
  assert found.iou(BOX, other) == pytest.approx(wanted)
  assert found.iou(other, BOX) == pytest.approx(wanted)


def test_an_object_repeats_an_earlier_one_of_its_label_or_place():
  items = [
    item(0, 0, 0, 10, 10, label="man"),
    item(1, 0, 0, 10, 8),
    item(2, 50, 50, 60, 60, label="man"),
    item(3),
    item(4, label="dog"),
    item(5),
    item(0, 50, 50, 60, 60, field="grounded"),
  ]
  assert found.repeats(items, 0.7) == [False, True, True] + [False] * 3 + [True]
  # The bound itself does not count.
  assert not found.repeats(items, 0.8)[1]


@pytest.fixture(name="objects")
def crops_and_their_repeats():
  """Two rows of three slots, the first with a repeat in its first two."""
  present = np.array([[True, True, False], [True, False, False]])
  repeats = np.array([[False, True, False], [False] * 3])
  return Objects((), {"detected": present}, {"detected": repeats})


def test_sources_of_each_change(objects):
  make = lambda change: change(objects)["detected"].tolist()  # noqa: E731
  assert make(changes.dropped) == [[-1] * 3] * 2
  assert make(changes.without_repeats) == [[0, -1, -1]] * 2
  assert make(changes.doubled) == [[0, 1, 0], [0, 0, -1]]
  first = {"detected": np.array([[True, False, False], [False] * 3])}
  gone = changes.without_repeats(objects._replace(repeats=first))
  # The others move up.
  assert gone["detected"].tolist() == [[1, -1, -1], [0, -1, -1]]
  share = lambda change: changes.changed(objects, change(objects))  # noqa: E731
  assert share(changes.dropped) == share(changes.doubled) == 1
  assert share(changes.without_repeats) == 0.5


def test_the_whole_picture_among_the_regions_stays():
  present = {found.REGIONS: np.array([[False, True, True, False]])}
  repeats = {found.REGIONS: np.array([[False, False, True, False]])}
  objects = Objects((), present, repeats, kept=1)
  make = lambda change: change(objects)[found.REGIONS].tolist()  # noqa: E731
  assert make(changes.dropped) == [[0, -1, -1, -1]]
  assert make(changes.without_repeats) == [[0, 1, -1, -1]]
  assert make(changes.doubled) == [[0, 1, 2, 1]]


def batch_of(seed=0, **fields):
  rng = np.random.default_rng(seed)
  shapes = {
    "image": (2, 4, 4, 3),
    "detected": (2, 3, 2, 2, 3),
  }
  pixels = {
    name: rng.integers(0, 256, shape, np.uint8)
    for name, shape in shapes.items()
  }
  regions = {
    "regions": rng.normal(size=(2, 3, 5)).astype(np.float32),
    "region_boxes": rng.random((2, 3, 5), np.float32),
    "region_mask": np.array([[True] * 3, [True, False, False]]),
    "alignment": rng.random((2, 6, 3), np.float32),
  }
  masks = {
    "image_mask": np.array([True, False]),
    "detected_mask": np.array([[True, True, False], [True, False, False]]),
  }
  text = dict.fromkeys(
    ("input_ids", "attention_mask", "token_type_ids"), np.ones((2, 6), int)
  )
  starts = {"head_start": np.zeros(2, int), "tail_start": np.ones(2, int)}
  return Batch(**text, **starts, **pixels, **regions, **masks, **fields)


def test_objects_take_the_slots_of_their_sources():
  batch = batch_of()
  slots = np.array([[2, -1, 0], [-1, 0, 0]])
  moved = changes.rearrange(batch, {"detected": slots, found.REGIONS: slots})
  for row, sources in enumerate(slots):
    for slot, source in enumerate(sources):
      if source < 0:
        assert (moved.detected[row, slot] == 128).all()
        assert not moved.detected_mask[row, slot]
        assert not moved.region_mask[row, slot]
        assert not moved.regions[row, slot].any()
        assert not moved.alignment[row, :, slot].any()
        continue
      for name in ("detected", "detected_mask", "regions", "region_boxes"):
        before, after = getattr(batch, name), getattr(moved, name)
        np.testing.assert_array_equal(after[row, slot], before[row, source])
      np.testing.assert_array_equal(
        moved.alignment[row, :, slot], batch.alignment[row, :, source]
      )
  for name in ("image", "image_mask", "input_ids"):
    assert getattr(moved, name) is getattr(batch, name)


def test_an_exchange_keeps_the_whole_picture():
  own, other = batch_of(0), batch_of(1)
  kept = changes.keep_picture(other, own, kept=1)
  np.testing.assert_array_equal(kept.image, own.image)
  np.testing.assert_array_equal(kept.detected, other.detected)
  np.testing.assert_array_equal(kept.regions[:, 0], own.regions[:, 0])
  np.testing.assert_array_equal(kept.regions[:, 1:], other.regions[:, 1:])
  all_moved = changes.keep_picture(other, own, kept=0)
  np.testing.assert_array_equal(all_moved.regions, other.regions)


def test_mislabelled_objects_have_the_vectors_of_other_labels():
  vectors = {"man": 1.0, "dog": 2.0, "cup": 3.0}
  names = [["man", "dog"], ["cup", ""], ["man", "man"]]
  own = np.array([[[vectors.get(x, 9.0)] for x in row] for row in names])
  rows = [[item(i, label=x) for i, x in enumerate(row)] for row in names]
  reader = lambda texts, pictures: {"regions": own}  # noqa: E731
  built = types.SimpleNamespace()
  built.data = types.SimpleNamespace(
    inputs=types.SimpleNamespace(region_reader=lambda split: reader)
  )
  made = labels.Vectors(built, range(3), Objects(rows, {}, {}))
  assert made.changed == 1
  drawn = [made.draw(seed) for seed in range(5)]
  for found_now in drawn:
    differs = found_now != own
    assert differs[..., 0].tolist() == [[True, True], [True, False], [True] * 2]
    assert {*found_now.ravel()} <= {1.0, 2.0, 3.0, 9.0}
  assert any((one != drawn[0]).any() for one in drawn[1:])
  only = labels.Vectors(built, range(3), Objects([rows[0][:1]] * 3, {}, {}))
  with pytest.raises(ValueError, match=r"expected several labels, got \['man'"):
    only.draw(0)
