"""The published MNRE, counted. MNRE_DIR names it (MNRE1_DIR: MNRE-1)."""

import itertools
import os
import statistics

import pytest

from ifa_jax.data import schema
from ifa_jax.data.images import boxes
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.text import markers
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.preparation.mnre.plan import Planner, Settings

pytestmark = pytest.mark.slow

MNRE_DIR = os.environ.get("MNRE_DIR")
MNRE1_DIR = os.environ.get("MNRE1_DIR")
TOKENIZER = os.environ.get("BERT_UNCASED_DIR")

needs_mnre = pytest.mark.skipif(
  not MNRE_DIR, reason="set MNRE_DIR to the published data/ folder"
)


@pytest.fixture(scope="module")
def rows():
  relations = tree.read_relations(MNRE_DIR)
  return {
    split: list(tree.read_rows(MNRE_DIR, split, relations))
    for split in schema.SPLITS
  }


def per_split(rows, condition):
  return [sum(map(condition, rows[split])) for split in schema.SPLITS]


@needs_mnre
def test_rows_pictures_and_relations(rows):
  assert [len(rows[split]) for split in schema.SPLITS] == [12_247, 1624, 1614]
  assert per_split(rows, lambda r: r.relation == "None") == [7744, 1000, 974]
  names = [{row.img_id for row in rows[split]} for split in schema.SPLITS]
  assert [len(n) for n in names] == [7356, 931, 914]
  assert not any(a & b for a, b in itertools.combinations(names, 2))
  relations = tree.read_relations(MNRE_DIR)
  assert (len(relations), relations[0], relations[7]) == (
    23,
    "None",
    "/per/per/alumi",
  )
  assert len({r.relation for r in rows["test"]} - {"None"}) == 20


@needs_mnre
def test_spans(rows):
  everything = list(itertools.chain(*rows.values()))
  assert max(len(row.words) for row in everything) == 35
  for row in everything:
    assert row.head_name == " ".join(row.words[slice(*row.head)])
    assert row.tail_name == " ".join(row.words[slice(*row.tail)])
  tail_first = per_split(rows, lambda r: r.tail[0] < r.head[0])
  assert tail_first == [1397, 197, 214]
  assert per_split(
    rows, lambda r: r.head[0] < r.tail[1] and r.tail[0] < r.head[1]
  ) == [59, 3, 5]
  assert per_split(rows, lambda r: r.head[0] == r.tail[0]) == [30, 3, 3]
  assert per_split(rows, lambda r: len(r.words) in (r.head[1], r.tail[1])) == [
    104,
    16,
    14,
  ]


@needs_mnre
def test_every_text_has_four_markers_in_order(rows):
  for row in itertools.chain(*rows.values()):
    tokens = markers.insert_markers(row.words, row.head, row.tail)
    assert [t.text for t in tokens if t.word is not None] == list(row.words)
    texts = [t.text for t in tokens if t.word is None]
    assert sorted(texts) == sorted(markers.MARKERS)


@needs_mnre
@pytest.mark.skipif(
  not TOKENIZER, reason="set BERT_UNCASED_DIR to BERT's uncased tokenizer"
)
def test_lengths_in_word_pieces(rows):
  tokenizer = Tokenizer.load(TOKENIZER)
  lengths = sorted(
    len(tokenizer.encode(row.words, row.head, row.tail, 80).input_ids)
    for row in itertools.chain(*rows.values())
  )
  assert lengths[-1] == 55
  assert round(statistics.mean(lengths)) == 31
  assert statistics.median(lengths) == 30
  assert lengths[len(lengths) * 99 // 100] == 46


@needs_mnre
def test_the_released_dictionary_tells_the_label(rows):
  source = crops.Crops(MNRE_DIR, "released")
  more_than_two = lambda r: len(source.grounded(r)) > 2  # noqa: E731
  test = rows["test"]
  found = [row for row in test if more_than_two(row)]
  assert len(found) == 107 + 519
  assert all(row.relation != "None" for row in found)
  assert {len(source.grounded(r)) for r in test if r.relation == "None"} == {2}


@needs_mnre
def test_pictures_lie_in_other_splits_too(rows):
  pictures = crops.Pictures(MNRE_DIR)
  found = {
    split: [path for row in rows[split] if (path := pictures.find(row))]
    for split in schema.SPLITS
  }
  assert {split: len(paths) for split, paths in found.items()} == {
    "train": 45,
    "val": 0,
    "test": 46,
  }
  assert len({path for paths in found.values() for path in paths}) == 39
  elsewhere = [
    path
    for split, paths in found.items()
    for path in paths
    if f"{os.sep}{split}{os.sep}" not in path
  ]
  assert len(elsewhere) == 56
  listed = boxes.read_boxes(os.path.join(MNRE_DIR, "boxes.json"))
  assert len(listed) == 39


@needs_mnre
@pytest.mark.skipif(not TOKENIZER, reason="set BERT_UNCASED_DIR")
def test_every_row_is_planned():
  planner = Planner(
    Settings(
      raw_dir=MNRE_DIR,
      data_dir="",
      protocol="released",
      tokenizer=TOKENIZER,
      missing_pixels="grey",
    )
  )
  plans = list(planner.plans("test"))
  assert len(plans) == 1614
  assert sum(min(plan.num_grounded, 3) for plan in plans) == (
    2 * 974 + 2 * 14 + 3 * (107 + 519)
  )


@pytest.mark.skipif(not MNRE1_DIR, reason="set MNRE1_DIR to MNRE-1's texts")
def test_mnre_1_reads_too():
  relations = tree.read_relations(MNRE1_DIR)
  assert (len(relations), relations[0]) == (31, "none")
  assert relations[1:] == sorted(relations[1:])
  rows = {
    split: list(tree.read_rows(MNRE1_DIR, split, relations))
    for split in schema.SPLITS
  }
  assert [len(rows[split]) for split in schema.SPLITS] == [7824, 975, 1282]
  assert all(
    row.img_id.endswith(".jpg") for row in itertools.chain(*rows.values())
  )
