"""Batches on the host: cut, packed, and without pictures."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from ifa_jax import batch as batches

CONFIG = tiny.tiny_config()


def full_batch():
  """Returns a batch with every field, each with something in every row."""
  rng = np.random.default_rng(0)
  plain = tiny.random_batch(CONFIG, 4, text_len=12)
  masks = ("image", "grounded", "detected")
  return plain.replace(
    **{
      f"{name}_mask": np.ones_like(getattr(plain, f"{name}_mask"))
      for name in masks
    },
    regions=rng.normal(size=(4, 3, 5)).astype(np.float32),
    region_boxes=rng.uniform(size=(4, 3, 5)).astype(np.float32),
    region_mask=np.ones((4, 3), bool),
    alignment=rng.uniform(0.1, 1, (4, 12, 3)).astype(np.float32),
    caption_ids=rng.integers(1, 9, (4, 6), np.int32),
    caption_mask=np.ones((4, 6), bool),
  )


# The only fields that make a picture, a crop or an object count in a model.
PICTURES = {
  *("image_mask", "grounded_mask", "detected_mask"),
  *("regions", "region_mask", "alignment", "caption_mask"),
}


def test_blank_pictures_leave_nothing_to_look_at_and_the_text_alone():
  before = full_batch()
  before = before.replace(token_type_ids=np.zeros_like(before.input_ids))
  after = batches.blank_pictures(before)
  np.testing.assert_array_equal(after.attention_mask, before.attention_mask)
  for field in dataclasses.fields(before):
    old, new = (getattr(x, field.name) for x in (before, after))
    if field.name in PICTURES:
      assert np.any(old), field.name
      assert not np.any(new), field.name
      assert (old.shape, old.dtype) == (new.shape, new.dtype)
    elif field.name != "attention_mask":
      assert new is old, field.name


def test_a_caption_that_follows_the_text_is_blanked_too():
  before = full_batch()
  types = np.zeros_like(before.token_type_ids)
  types[1, 5:] = 1
  after = batches.blank_pictures(before.replace(token_type_ids=types))
  expected = before.attention_mask & (types == 0)
  np.testing.assert_array_equal(after.attention_mask, expected)


@pytest.mark.parametrize("name", ["image", "grounded", "detected"])
def test_a_kind_of_picture_that_no_row_has_is_dropped(name):
  whole = full_batch()
  mask = np.zeros_like(getattr(whole, f"{name}_mask"))
  found = batches.drop_absent(whole.replace(**{f"{name}_mask": mask}))
  missing = {
    field.name
    for field in dataclasses.fields(whole)
    if getattr(found, field.name) is None
    and getattr(whole, field.name) is not None
  }
  assert missing == {name, f"{name}_mask"}
  # One row is enough to keep it.
  mask.reshape(-1)[-1] = True
  kept = batches.drop_absent(whole.replace(**{f"{name}_mask": mask}))
  assert getattr(kept, name) is not None


def with_lengths(*lengths):
  mask = np.arange(12) < np.array(lengths)[:, None]
  return full_batch().replace(attention_mask=mask)


@pytest.mark.parametrize(
  ("longest", "length"), [(5, 6), (6, 6), (7, 8), (8, 8), (9, 12)]
)
def test_padding_is_cut_to_the_first_bucket_that_holds_the_longest(
  longest, length
):
  whole = with_lengths(3, longest, 4, 1)
  found = batches.trim_text(whole, (8, 6))
  cut = ("input_ids", "attention_mask", "token_type_ids", "alignment")
  for field in dataclasses.fields(whole):
    old, new = (getattr(x, field.name) for x in (whole, found))
    wanted = old[:, :length] if field.name in cut else old
    jax.tree.map(np.testing.assert_array_equal, new, wanted)


@pytest.mark.parametrize(
  ("lengths", "size"),
  [
    ((5, 4, 4, 3), 16),
    ((5, 4, 4, 4), 24),
    ((6, 6, 6, 6), 24),
    ((7, 6, 6, 6), None),
  ],
)
def test_texts_are_packed_into_the_smallest_bucket(lengths, size):
  whole = with_lengths(*lengths)
  assert batches.pack_text(whole, ()).packed is None
  # The bucket 12 is the padded length, which saves nothing.
  packed = batches.pack_text(whole, (12, 6, 4)).packed
  if size is None:
    assert packed is None
    return
  assert (len(packed), packed.dtype) == (size, np.int32)
  places = [12 * row + i for row, n in enumerate(lengths) for i in range(n)]
  assert packed.tolist() == places + [48] * (size - len(places))
