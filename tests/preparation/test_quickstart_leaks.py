"""The quickstart data: only words and pixels predict the label.

Simple classifiers are trained on one split and scored on another. The seed is
fixed, so that a bound of four standard errors passes or fails every time.
"""

import functools
import json

import numpy as np
import pytest
import quickstart_tree
import tokenizers
from PIL import Image
from quickstart_tree import rows_of
from sklearn import ensemble, feature_extraction, linear_model

from ifa_jax.preparation.quickstart import command

pytestmark = pytest.mark.slow

SETTINGS = command.Settings(num_train=600, num_dev=12, num_test=360, seed=3)
cells_of = functools.partial(quickstart_tree.cells_of, SETTINGS)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
  out = tmp_path_factory.mktemp("quickstart") / "raw"
  command.generate(out, SETTINGS)
  return out


def squares(tree, split, phrase):
  """Cuts float[B, 16 x 16 x 3] of each picture's best box.

  Args:
    tree: folder of the data.
    split: name of the split.
    phrase: row -> phrase of the box, None for a detected object. Pictures
      without such a box are grey.
  """
  boxes = json.loads((tree / "boxes.json").read_text())
  pixels = []
  for row in rows_of(tree, split):
    hits = [
      entry["box"]
      for entry in boxes[row["img_id"]]
      if entry.get("phrase") == phrase(row)
    ]
    with Image.open(tree / "img_org" / split / row["img_id"]) as image:
      square = Image.new("RGB", (16, 16), "grey")
      if hits:
        square = image.resize((16, 16), Image.Resampling.BICUBIC, hits[0])
    pixels.append(np.asarray(square).ravel() / 255)
  return np.array(pixels)


def side_features(tree, split):
  """Returns counts, sizes and scores: all of a picture but its pixels."""
  boxes = json.loads((tree / "boxes.json").read_text())
  features = []
  for row in rows_of(tree, split):
    path = tree / "img_org" / split / row["img_id"]
    with Image.open(path) as image:
      size = image.size
    entries = boxes[row["img_id"]]
    has_phrase = ["phrase" in entry for entry in entries]
    best = entries[has_phrase.index(False)]
    x0, y0, x1, y1 = best["box"]
    features.append(
      [
        int(row["img_id"].rsplit("_", 1)[1].split(".")[0]),
        path.stat().st_size,
        *size,
        len(entries),
        # Which places in the order of scores have a phrase.
        *[*has_phrase, *[-1] * 6][:6],
        sum(entry["score"] for entry in entries),
        best["score"],
        *best["box"],
        x1 - x0,
        y1 - y0,
        (x1 - x0) / (y1 - y0),
      ]
    )
  return np.array(features, float)


def assert_chance(got, want):
  """Accuracy is within four standard errors of one in `len(set(want))`."""
  chance = 1 / len(set(want))
  error = (chance * (1 - chance) / len(want)) ** 0.5
  accuracy = np.mean(np.array(got) == np.array(want))
  assert accuracy < chance + 4 * error, f"{accuracy:.3f}, chance {chance:.3f}"


@pytest.mark.parametrize("part", ["type", "emblem"])
def test_boxes_sizes_and_scores_predict_nothing(tree, part):
  train, test = (
    [cell[part == "emblem"] for cell in cells_of(split)]
    for split in ("train", "test")
  )
  forest = ensemble.RandomForestClassifier(100, random_state=0)
  forest.fit(side_features(tree, "train"), train)
  assert_chance(forest.predict(side_features(tree, "test")), test)


def test_the_emblem_changes_only_pixels():
  for seed in range(10):
    posts = [
      command.make_post("org", emblem, "a.jpg", np.random.default_rng(seed))
      for emblem in command.RELATIONS["org"]
    ]
    for post in posts[1:]:
      assert post.row | {"relation": None} == posts[0].row | {"relation": None}
      assert post.boxes == posts[0].boxes
      assert post.image != posts[0].image


def test_the_type_changes_only_words():
  for seed in range(10):
    posts = [
      command.make_post(kind, "cup", "a.jpg", np.random.default_rng(seed))
      for kind in command.RELATIONS
    ]
    corners = [[box["box"] for box in post.boxes] for post in posts]
    for post, places in zip(posts[1:], corners[1:], strict=True):
      assert post.image == posts[0].image
      assert places == corners[0]
      assert post.row["token"] != posts[0].row["token"]


def bags_of_pieces(tree):
  """Returns counts of WordPieces in training and in test texts."""
  path = str(tree / "tokenizer" / "tokenizer.json")
  split_text = tokenizers.Tokenizer.from_file(path).encode
  counter = feature_extraction.text.CountVectorizer(
    analyzer=lambda row: split_text(" ".join(row["token"])).tokens
  )
  train, test = (rows_of(tree, split) for split in ("train", "test"))
  return counter.fit_transform(train), counter.transform(test)


def test_the_text_predicts_the_type_and_not_the_emblem(tree):
  train, test = bags_of_pieces(tree)
  kinds, emblems = zip(*cells_of("train"), strict=True)
  test_kinds, test_emblems = zip(*cells_of("test"), strict=True)
  model = linear_model.RidgeClassifier(alpha=10)
  assert model.fit(train, kinds).score(test, test_kinds) > 0.9
  model.fit(train, emblems)
  assert_chance(model.predict(test), test_emblems)


def test_the_picture_predicts_the_emblem_and_not_the_type(tree):
  kinds, emblems = zip(*cells_of("train"), strict=True)
  test_kinds, test_emblems = zip(*cells_of("test"), strict=True)
  model = linear_model.RidgeClassifier(alpha=10)
  train, test = (
    squares(tree, split, lambda row: None) for split in ("train", "test")
  )
  assert model.fit(train, emblems).score(test, test_emblems) > 0.95
  for role in "ht":
    tags, test_tags = (
      squares(tree, split, lambda row, role=role: row[role]["name"])
      for split in ("train", "test")
    )
    model.fit(np.hstack([train, tags]), kinds)
    assert_chance(model.predict(np.hstack([test, test_tags])), test_kinds)
