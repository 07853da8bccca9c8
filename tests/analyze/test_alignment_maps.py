"""Maps of attention, compared with loops over DeepKE's outputs."""

import functools

import aligned
import jax
import numpy as np
import parity
import pytest
import reference_data
import torch
import torch_reference

import ifa_jax
from ifa_jax import models
from ifa_jax.analyze.alignment import compute, readers

pytestmark = pytest.mark.slow

TOLERANCE = 5e-6


@functools.partial(jax.jit, static_argnums=0)
def look(model, params, batch):
  return compute.capture(model, "text_attention")(params, batch, batch)


def draw_words(batch, seed):
  """Returns word ids of every row: words of one to three tokens.

  [CLS], [SEP] and both markers belong to no word.
  """
  rng = np.random.default_rng(seed)
  rows = []
  for i, mask in enumerate(np.asarray(batch.attention_mask)):
    length, word, ids = int(mask.sum()), 0, []
    while len(ids) < length:
      ids += [word] * int(rng.integers(1, 4))
      word += 1
    ids = ids[:length]
    for token in (0, length - 1, batch.head_start[i], batch.tail_start[i]):
      ids[token] = -1
    rows.append(ids)
  return rows


def maps_of(config, params, batch, word_ids):
  """Runs the model and returns the maps of every row."""
  *_, weights = look(models.build(config), params, batch)
  places = readers.place_pictures(
    config.picture_slots, config.vision.patch_size
  )
  return [
    aligned.align_pixels(
      weights[:, i],
      aligned.make_text(
        ids,
        ["word"] * (max(ids) + 2),
        {"head": (0, 3), "tail": (2, 4)},
        (batch.head_start[i], batch.tail_start[i]),
      ),
      places,
      masks_of(config, batch, i),
    )
    for i, ids in enumerate(word_ids)
  ]


def masks_of(config, batch, row):
  fields = [field for field, *_ in config.picture_slots]
  masks = {field: getattr(batch, f"{field}_mask")[row] for field in fields}
  return {field: np.atleast_1d(mask) for field, mask in masks.items()}


def columns_by_hand(geometry, released, batch, row):
  """Returns title -> the keys of its patches, counted off one by one."""
  found, key = {}, 1
  side = geometry.size // geometry.patch
  kinds = [] if released else [("image", batch.image_mask[row], side**2)]
  kinds += [
    ("grounded", batch.grounded_mask[row], 16),
    ("detected", batch.detected_mask[row], 4),
  ]
  for kind, mask, num_patches in kinds:
    for slot, there in enumerate(np.atleast_1d(mask)):
      title = kind if kind == "image" else f"{kind} {slot + 1}"
      if there:
        found[title] = range(key, key + num_patches)
      key += num_patches
  return found, key


def check(got, want, geometry, released, batch, row, ids):
  """Compares a row's maps with sums over float[layers, T, P+T] by loops."""
  columns, num_visual = columns_by_hand(geometry, released, batch, row)
  assert [column.name for column in got.columns] == list(columns)
  num_layers = len(want)
  assert len(got.words.pictures) == num_layers + 1
  gaps = []

  def compare(name, found, tokens):
    """Compares the mean over layers, then each layer."""
    cells = [
      aligned.loop_cell(want[layer], tokens, name) for layer in range(len(want))
    ]
    gaps.append(abs(found[0] - sum(cells) / num_layers))
    gaps.extend(abs(a - b) for a, b in zip(found[1:], cells, strict=True))

  for word in range(max(ids) + 1):
    tokens = [token for token, owner in enumerate(ids) if owner == word]
    if not tokens:
      assert np.isnan(got.words.pictures[:, word]).all()
      continue
    for i, keys in enumerate(columns.values()):
      compare(keys, got.words.pictures[:, word, i], tokens)
    there = {key for keys in columns.values() for key in keys}
    absent = [key for key in range(1, num_visual) if key not in there]
    text = range(num_visual, want.shape[2])
    for i, keys in enumerate(([0], absent, text)):
      compare(keys, got.words.elsewhere[:, word, i], tokens)
  starts = (batch.head_start[row], batch.tail_start[row])
  for i, token in enumerate(starts):
    for j, keys in enumerate(columns.values()):
      compare(keys, got.markers.pictures[:, i, j], [token])
  for name, span in (("head", (0, 3)), ("tail", (2, 4))):
    tokens = [t for t, owner in enumerate(ids) if owner in range(*span)]
    for grid, keys in zip(got.patches[name], columns.values(), strict=True):
      side = grid.shape[1]
      for place, key in enumerate(keys):
        compare([key], grid[:, place // side, place % side], tokens)
  assert max(gaps) < TOLERANCE


@pytest.mark.parametrize(
  ("fusion", "file"),
  [("released", "deepke"), ("paper", "paper_with_objects")],
)
def test_maps_of_both_fusions_are_sums_of_the_reference(fusion, file):
  config, params = ifa_jax.convert.from_deepke(
    reference_data.FOLDER / "best_model.pth", num_heads=12
  )
  config = models.replace(config, fusion=fusion)
  batch = parity.to_batch(reference_data.inputs())
  word_ids = draw_words(batch, seed=0)
  want = reference_data.expected(file)["text_attention"]
  for row, got in enumerate(maps_of(config, params, batch, word_ids)):
    check(
      got,
      want[:, row],
      reference_data.geometry(),
      fusion == "released",
      batch,
      row,
      word_ids[row],
    )


@pytest.mark.parametrize("fusion", ["released", "paper"])
def test_maps_of_perturbed_weights_are_sums_of_pytorch(fusion):
  geometry = torch_reference.Geometry(
    layers=2,
    text_heads=4,
    vision_heads=4,
    patch=4,
    size=12,
    num_crops=2,
    vocab=50,
    hidden=24,
    mlp=40,
    num_relations=5,
  )
  weights = torch_reference.random_weights(
    geometry, seed=3, dtype=torch.float64
  )
  inputs = reference_data.random_inputs(geometry, seed=4, batch_size=4)
  floats = {k: v.double() for k, v in inputs.items() if v.is_floating_point()}
  want = torch_reference.forward(
    weights, inputs | floats, geometry, capture=True, fusion=fusion
  ).text_attention
  config = parity.model_config(geometry, fusion=fusion)
  batch = parity.to_batch(inputs)
  word_ids = draw_words(batch, seed=1)
  params = parity.to_params(weights, config)
  for row, got in enumerate(maps_of(config, params, batch, word_ids)):
    released = fusion == "released"
    attention = np.asarray(want[:, row])
    check(got, attention, geometry, released, batch, row, word_ids[row])


def test_pictures_and_elsewhere_add_up_to_one():
  for post in (aligned.make_post(), aligned.make_post(num_squares=(0, 0, 0))):
    for shares in (post.alignment.words, post.alignment.markers):
      total = shares.pictures.sum(axis=-1) + shares.elsewhere.sum(axis=-1)
      np.testing.assert_allclose(total, 1.0, atol=1e-12)


def test_columns_are_the_present_pictures():
  def names(*counts):
    columns = aligned.make_post(num_squares=counts).alignment.columns
    return [column.name for column in columns]

  assert names(0, 0, 0) == []
  assert names(1, 0, 2) == ["image", "detected 1", "detected 2"]
  assert names(0, 3, 3) == [
    f"{kind} {i}" for kind in ("grounded", "detected") for i in (1, 2, 3)
  ]


def test_words_without_a_token_are_nan():
  rng = np.random.default_rng(0)
  attention = aligned.random_attention(rng, 4, 1)
  got = aligned.align_pixels(
    attention,
    aligned.make_text(
      [-1, 0, 2, -1], "abcd", {"head": (0, 1), "tail": (2, 3)}, (1, 2)
    ),
    [],
    {},
  )
  read = ~np.isnan(got.words.elsewhere[0, :, 0])
  assert read.tolist() == [True, False, True, False]


def test_an_entity_of_several_words_is_the_mean_over_its_tokens():
  rng = np.random.default_rng(0)
  attention = aligned.random_attention(rng, 5, 5)
  (place,) = readers.place_pictures([("detected", 1, 16)], 8)
  got = aligned.align_pixels(
    attention,
    aligned.make_text(
      [0, 0, 1, 2, 2], "abc", {"head": (0, 2), "tail": (2, 3)}, (0, 3)
    ),
    [place],
    {"detected": [True]},
  )
  want = attention[:, :3, 1:5].mean(axis=1).reshape(-1, 2, 2)
  np.testing.assert_allclose(got.patches["head"][0][1:], want)
  assert list(got.kind.titles) == ["mean", "0", "1"]


@pytest.mark.parametrize(
  ("word_ids", "num_visual", "message"),
  [
    ([-1, 0, 1, -1], 6, "expected 2 maps of 5 visual and 4 text keys"),
    ([-1, 0, 0, -1], 5, "words 1 to 2: expected a token, got none"),
  ],
)
def test_mismatched_attention_raises(word_ids, num_visual, message):
  attention = aligned.random_attention(np.random.default_rng(0), 4, num_visual)
  places = readers.place_pictures([("detected", 1, 16)], 8)
  spans = {"head": (0, 1), "tail": (1, 2)}
  text = aligned.make_text(word_ids, "ab", spans, (1, 2))
  with pytest.raises(ValueError, match=message):
    aligned.align_pixels(attention, text, places, {"detected": [True]})
