"""The graphs of MNRE-1: read from a generated tree, and from the real one.

MNRE1_DIR names the folder of MNRE-1's texts and graphs.
"""

import os

import mnre1_tree
import pytest
from command_lines import run_all

from ifa_jax.data import schema
from ifa_jax.data.scenes import store
from ifa_jax.preparation.mnre1_graphs import command
from ifa_jax.preparation.mnre1_graphs import words as mnre1_words

pytestmark = pytest.mark.slow

MNRE1_DIR = os.environ.get("MNRE1_DIR")

HEADS = [
  [1, -1, 3, 1],
  [1, -1, 1, 4, -1, 4],
  [-1, -1],
  [1, -1, -1, -1],
  [1, -1, 1, -1],
]
COUNTS = {
  "rows": 5,
  "rows of several sentences": 2,
  "rows with other words parsed": 2,
  "parsed words dropped": 1,
  "words not parsed": 2,
  "words of unknown place": 1,
  "images": 2,
  "images without an edge": 1,
}


def test_a_generated_tree(tmp_path):
  graphs = mnre1_tree.write_tree(tmp_path / "graphs")
  counts = command.convert(graphs, tmp_path / "out")
  assert counts == dict.fromkeys(schema.SPLITS, COUNTS)
  for split in schema.SPLITS:
    found = store.read_split(tmp_path / "out", split)
    assert found.manifest["counts"] == COUNTS
    assert found.manifest["parser"] == "mnre1"
    scene = found.scene("a.jpg")
    # The last object with an edge is 5; 2, 3 and 4 stand before it.
    assert scene.num_objects == 6
    assert scene.edges.tolist() == mnre1_tree.IMAGES["a.jpg"]["rel"]
    assert (scene.boxes, scene.features, scene.labels) == (None, None, [])
    assert found.scene("none.jpg").num_objects == 0
    for line, heads in enumerate(HEADS, start=1):
      assert found.heads(f"{split}/{line}").tolist() == heads


def test_the_command(tmp_path):
  graphs, out = mnre1_tree.write_tree(tmp_path / "graphs"), tmp_path / "out"
  script, nowhere = "data_prep/mnre1_graphs.py", f"--out={tmp_path}/nowhere"
  done = run_all(
    {
      "good": [script, f"--graphs={graphs}", f"--out={out}"],
      "bad": [script, f"--graphs={tmp_path}", nowhere],
      "incomplete": [script, f"--graphs={graphs}"],
    }
  )
  assert {name: one.status for name, one in done.items()} == {
    "good": 0,
    "bad": 1,
    "incomplete": 2,
  }
  assert "words of unknown place" in done["good"].out
  assert done["good"].out.splitlines()[-1] == str(out)
  assert done["bad"].err == (
    f"error: {tmp_path}: expected graph_of_image_train.json, got no such file\n"
  )
  assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
  ("entry", "message"),
  [
    ({"index": 3, "edges": []}, r"expected index 1, got 3"),
    ({"index": 1}, r"pairs of numbers from 0 as 'edges'"),
    ({"index": 1, "edges": [[0, -1]]}, r"pairs of numbers from 0"),
    ({"index": 1, "edges": [[0, 1, 2]]}, r"pairs of numbers from 0"),
    ([1], r"pairs of numbers from 0"),
    ({"index": 1, "edges": [[1, 0]]}, r"image's 3 edges at the end, got 1"),
    (
      {"index": 1, "edges": [[1, 0], [2, 7], [3, 7], [7, 4]]},
      r"words added, got \[2, 3\]",
    ),
    (
      {"index": 1, "edges": [[2, 0], [2, 1], [2, 7], [3, 7], [7, 3]]},
      r"3 or more words added, got \[2\]",
    ),
    (
      {"index": 1, "edges": [[3, 0], [3, 1], [4, 9], [5, 9], [9, 5]]},
      r"tree of 4 words with one root, got 2 roots",
    ),
    (
      {"index": 1, "edges": [[1, 0], [0, 1], [3, 2], [4, 9], [5, 9], [9, 5]]},
      r"expected a tree of words, got a cycle",
    ),
  ],
)
def test_a_row_that_contradicts_itself_is_named(entry, message, tmp_path):
  graphs = mnre1_tree.write_tree(tmp_path / "graphs", line_2=entry)
  where = r"combined_graph_edges_train.jsonl:2: .*"
  with pytest.raises(ValueError, match=where + message):
    command.convert(graphs, tmp_path / "out")
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  ("images", "message"),
  [
    ([], r"graph_of_image_train.json: expected an object of images"),
    ({"a.jpg": {}}, r"image 'a.jpg': expected pairs .* as 'rel'"),
    ({"a.jpg": {"rel": [[0, 10]]}}, r"expected objects 0 to 9, got 10"),
    ({"b.jpg": {"rel": []}}, r"expected image 'a.jpg' among the graphs"),
  ],
)
def test_graphs_of_another_form_are_named(images, message, tmp_path):
  graphs = mnre1_tree.write_tree(tmp_path / "graphs", images=images)
  with pytest.raises(ValueError, match=message):
    command.convert(graphs, tmp_path / "out")


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("graph_of_image_train.json", None, "expected graph_of_image_train.json"),
    ("graph_of_image_train.json", "{", "not JSON"),
    ("combined_graph_edges_train.jsonl", "{}\n", "expected 5 lines.*got 1"),
    ("combined_graph_edges_train.jsonl", "{\n" * 5, "jsonl:1: not JSON"),
  ],
)
def test_damaged_files_are_named(name, text, message, tmp_path):
  graphs = mnre1_tree.write_tree(tmp_path / "graphs")
  (graphs / name).unlink()
  if text is not None:
    (graphs / name).write_text(text)
  with pytest.raises(ValueError, match=message):
    command.convert(graphs, tmp_path / "out")


def test_no_folder_is_left_for_graphs_that_cannot_be_read(tmp_path):
  with pytest.raises(ValueError, match=r"expected graph_of_image_train\.json"):
    command.convert(tmp_path, tmp_path / "deep" / "a" / "out")
  assert not (tmp_path / "deep").exists()


def test_sentences_follow_each_other():
  edges = [[1, 0], [1, 2], [0, 1], [1, 0], [1, 2]]
  heads, num_sentences = mnre1_words.heads(edges, "here")
  assert heads == [1, -1, 1, -1, 3, 6, -1, 6]
  assert num_sentences == 3
  assert mnre1_words.heads([], "here") == ([], 0)


def test_words_of_one_side_alone_are_taken_to_be_the_last():
  assert mnre1_words.fit([1, -1, 3, 1], 3) == [1, -1, -1]
  assert mnre1_words.fit([1, -1], 4) == [1, -1, -1, -1]
  assert mnre1_words.fit([1, -1, 1], 3) == [1, -1, 1]


@pytest.mark.skipif(
  not MNRE1_DIR, reason="set MNRE1_DIR to MNRE-1's texts and graphs"
)
def test_the_published_graphs(tmp_path):
  counts = command.convert(MNRE1_DIR, tmp_path)
  of = lambda name: [counts[split][name] for split in schema.SPLITS]  # noqa: E731
  assert of("rows") == [7824, 975, 1282]
  assert of("images") == [3996, 499, 675]
  assert of("images without an edge") == [794, 95, 142]
  assert of("rows of several sentences") == [2304, 332, 427]
  assert of("rows with other words parsed") == [3920, 484, 634]
  assert of("words of unknown place") == [559, 47, 84]
  val = store.read_split(tmp_path, "val")
  assert val.heads("val/2").tolist() == [1, -1, 4, 4, 1, 7, 7, 4]
