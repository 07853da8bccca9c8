"""Datasets of MORE and UMRE: prepared, audited, trained on and scored."""

import collections
import io
import itertools
import json

import numpy as np
import object_trees
import pytest
import raw_tree
import tiny_run
from object_trees import ACME, ANN, row, thing
from PIL import Image
from sklearn import metrics as sklearn_metrics
from small_tree import SIZES, read_records

from ifa_jax.analyze.compare import command as compare_command
from ifa_jax.analyze.compare import tables as compare_tables
from ifa_jax.analyze.leak import command as leak
from ifa_jax.data.images import decode
from ifa_jax.preparation.mnre import command as mnre
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.statistics import systems
from ifa_jax.training import loop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_compilation")]

PICTURE = raw_tree.jpeg(80, 40)


def cut(box):
  """Returns a box in fractions of the picture, cut by PIL alone."""
  picture = Image.open(io.BytesIO(PICTURE)).convert("RGB")
  scaled = np.array(box) * (80, 40, 80, 40)
  edges = [*np.floor(scaled[:2]), *np.ceil(scaled[2:])]
  return picture.crop(tuple(map(int, edges)))


def test_crops_are_those_that_pil_cuts(settings, tmp_path):
  lines = [row(thing(1), thing(2)), row(), row(ANN, ACME)]
  prepared, _ = prepare(
    settings(
      format="umre",
      protocol="clean",
      raw_dir=object_trees.write_umre(
        tmp_path / "umre", lines, pictures={"a.jpg": PICTURE}
      ),
      **SIZES | {"num_crops": 3},
    )
  )
  _, records = read_records(prepared)
  boxes = [*object_trees.UMRE_OBJECTS.values()]
  for record, numbers in zip(records, ([1, 2], [0], []), strict=True):
    for kind, listed, size in (
      ("grounded", numbers, 32),
      ("detected", [0, 1, 2], 16),
    ):
      expected = [decode.fit(cut(boxes[i]), size) for i in listed]
      assert record[f"num_{kind}"] == len(expected)
      np.testing.assert_array_equal(
        record[kind], np.reshape(expected, (-1, size, size, 3))
      )


def write_posts(folder, num_posts=100):
  """Writes MORE's files of posts with all pairs of entities and objects.

  Pairs of posts with more than one of both are mostly `none`.
  """
  rng = np.random.default_rng(0)
  rows, pictures, objects = {}, {}, {}
  for split in object_trees.MORE_SPLITS:
    rows[split] = []
    for post in range(num_posts):
      name = f"{split}{post}.jpg"
      num_entities, num_objects = rng.integers(1, 3, 2)
      several = num_entities * num_objects == 4
      pictures[name] = PICTURE
      listed = itertools.islice(object_trees.MORE_OBJECTS.items(), num_objects)
      objects[name] = dict(listed)
      for head, number in itertools.product(
        (ANN, ACME)[:num_entities], range(num_objects)
      ):
        relation = object_trees.RELATIONS[
          rng.choice(3, p=[0.9, 0.05, 0.05] if several else [0.1, 0.6, 0.3])
        ]
        rows[split].append(row(head, thing(number), relation, name))
  return object_trees.write_more(folder, rows, objects, pictures), rows


@pytest.fixture(scope="module", name="posts")
def prepared_posts(tmp_path_factory, small_tokenizer):
  from ifa_jax.preparation.mnre.plan import Settings

  folder = tmp_path_factory.mktemp("more")
  raw_dir, rows = write_posts(folder / "raw")
  prepared, _ = prepare(
    Settings(
      raw_dir=raw_dir,
      data_dir=str(folder / "data"),
      format="more",
      protocol="clean",
      tokenizer=small_tokenizer,
      text_len=40,
      **SIZES,
    )
  )
  return prepared, rows


def test_the_audit_counts_entities_and_pairs(posts, capsys):
  prepared, rows = posts
  found = leak.measure(prepared.folder)
  for name, number in (
    ("entities", lambda of_post: len({x["h"]["name"] for x in of_post})),
    ("objects", lambda of_post: len({x["t"]["name"] for x in of_post})),
    ("pairs", len),
  ):
    by_post = collections.defaultdict(list)
    for one in rows["train"]:
      by_post[one["img_id"]].append(one)
    expected = collections.Counter(map(number, by_post.values()))
    counted = found["counts"][f"{name} of the post"]["table"]["train"]
    both = collections.Counter(counted["none"])
    both.update(counted["relation"])
    assert both == expected
  assert found["verdicts"]["pairs of the post"] == "leak"
  # The scores of preparation, which those of models are shown with.
  assert found["counts_only"] == prepared.metadata["counts_only"]
  leak.tables.show(found)
  shown = capsys.readouterr().out
  assert "Rows by pairs of the post (number: rows, one of each post)" in shown
  assert "guessed without text and picture" in shown


def test_scores_of_a_trained_model_are_shown_with_the_guesses(
  posts, tmp_path, capsys
):
  prepared, rows = posts
  config = tiny_run.tiny_run_config(
    prepared.folder,
    train={"max_steps": 8},
    model={
      "num_relations": len(prepared.relations),
      "text": {"vocab_size": prepared.metadata["tokenizer"]["vocab_size"]},
    },
  )
  loop.run(tiny_run.build(config), str(tmp_path))
  lines = tiny_run.read_lines(tmp_path / "predictions_test.jsonl")
  assert len(lines) == len(rows["test"])
  assert {x["tail"] for x in lines} == {"[object]"}
  gold, predicted = ([x[key] for x in lines] for key in ("gold", "pred"))
  scores = json.loads((tmp_path / "eval_test.json").read_text())
  for average, key in (("micro", "f1"), ("macro", "macro_f1")):
    found = sklearn_metrics.f1_score(
      gold,
      predicted,
      labels=sorted({*gold} - {"None"}),
      average=average,
      zero_division=0,
    )
    assert scores[key] == pytest.approx(found)
  guessed = scores["counts_only"]["counts only"]
  assert scores["counts_only"] == prepared.metadata["counts_only"]["test"]
  shown = capsys.readouterr().out
  assert f"{100 * guessed['accuracy']:.2f}" in shown
  assert "counts only, accuracy" in shown
  assert "majority class, accuracy" in shown
  result = compare_command.compare(systems.read([str(tmp_path)]))
  assert result["counts_only"] == scores["counts_only"]
  written = compare_tables.markdown(result)
  assert f"| counts only | {100 * guessed['accuracy']:.2f} |" in written


def test_a_dataset_is_prepared_once(posts, tmp_path, capsys):
  """The scores of counts are read from its metadata as they were written."""
  prepared, _ = posts
  from ifa_jax.preparation.mnre import prepare as module

  assert module._difference(prepared.folder, prepared.metadata) == ""
  mnre.show(prepared, False)
  assert "3 relations by id" in capsys.readouterr().out
