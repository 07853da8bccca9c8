"""Any bytes as a JSON file of others: a value, or one line that names it."""

import collections
import json
import os
from typing import Any, NamedTuple

import fuzzing
import pytest
from hypothesis import strategies as st
from mnre1_tree import IMAGES
from mnre1_tree import write_tree as write_graphs
from scene_graph_files import INFO, PREDICTION

from ifa_jax.analyze.leak import queries
from ifa_jax.convert import sources
from ifa_jax.data import schema
from ifa_jax.data.images import boxes
from ifa_jax.inference import images, jsonl
from ifa_jax.inference.post import read_post
from ifa_jax.preparation.mnre1_graphs import command
from ifa_jax.preparation.per_picture.journal import Journal
from ifa_jax.preparation.scenes import graphs as scene_graphs
from ifa_jax.statistics import predictions

BOXES = {"a.jpg": [{"box": [0, 1, 9, 8.5], "score": 0.5, "phrase": "Ann"}]}
METADATA = {"format_version": schema.FORMAT_VERSION, "protocol": "none"}
DATASET_INFO = {
  "splits": [{"name": "train", "shardLengths": ["3", "2"], "numBytes": "70"}]
}
PREDICTED = {"id": "test/1", "gold": "a", "pred": "b", "probability": 0.5}
JOURNAL = [
  {"settings": {"threshold": 0.2}, "versions": {}},
  {
    "pictures": [
      {"name": "a", "num_bytes": 1, "names": [], "boxes": [], "reason": None}
    ]
  },
]


class Kind(NamedTuple):
  """A file that others write, and who reads it.

  Attributes:
    file: its name.
    sound: its value; a list is a value a line, where `lines`.
    read: reads it from a folder.
    others: values of other files.
  """

  file: str
  sound: Any
  read: Any
  others: dict[str, Any] = {}  # noqa: RUF012
  lines: bool = False


def read_journal(folder):
  path = str(folder / "j.jsonl")
  with Journal(path, "boxes", {"threshold": 0.2}, {}) as journal:
    return journal


def read_graphs(folder):
  return scene_graphs.read_graphs(str(folder / "custom_prediction.json"))


KINDS = {
  "boxes": Kind("b.json", BOXES, lambda f: boxes.read_boxes(f / "b.json")),
  "scene graphs": Kind(
    "custom_prediction.json",
    PREDICTION,
    read_graphs,
    {"custom_data_info.json": INFO},
  ),
  "their names": Kind(
    "custom_data_info.json",
    INFO,
    read_graphs,
    {"custom_prediction.json": PREDICTION},
  ),
  "graphs of images": Kind(
    "graph_of_image_train.json",
    IMAGES,
    lambda f: command.read_scenes(f, "train"),
  ),
  "queries": Kind(
    "txt/phrase_text_test.json",
    {"0": "person", "1": "x"},
    lambda f: queries.read_queries(str(f), "test"),
  ),
  "metadata": Kind(
    "metadata.json",
    METADATA,
    schema.find_prepared,
    {"dataset_info.json": DATASET_INFO},
  ),
  "sizes": Kind(
    "dataset_info.json",
    DATASET_INFO,
    schema.find_prepared,
    {"metadata.json": METADATA},
  ),
  "a model's config": Kind(
    "config.json",
    {"hidden_size": 8},
    lambda f: sources.Source("x", str(f)).read_config(),
  ),
  "predictions": Kind(
    "p.jsonl",
    [PREDICTED, {**PREDICTED, "id": "test/2"}],
    lambda f: predictions.read(str(f / "p.jsonl"), "test"),
    lines=True,
  ),
  "a journal": Kind("j.jsonl", JOURNAL, read_journal, lines=True),
}


def write(folder, kind, content):
  for name, value in kind.others.items():
    (folder / name).write_text(json.dumps(value))
  path = folder / kind.file
  os.makedirs(path.parent, exist_ok=True)
  path.write_bytes(content)


def contents(kind):
  """Returns possible contents of a file; one of the lines is something else."""
  if not kind.lines:
    return fuzzing.json_texts(kind.sound)
  *before, last = (json.dumps(value).encode() + b"\n" for value in kind.sound)
  return fuzzing.json_texts(kind.sound[-1]).map(
    lambda line: b"".join(before) + line + b"\n" + last
  )


@pytest.mark.parametrize("name", KINDS)
def test_any_bytes_are_read_or_refused(tmp_path, thorough, name):
  kind = KINDS[name]
  found = collections.Counter()

  def body(content):
    write(tmp_path, kind, content)
    value = fuzzing.read(
      lambda: kind.read(tmp_path), tmp_path, str(tmp_path), kind.file
    )
    found[isinstance(value, Exception)] += 1

  write(tmp_path, kind, b"\n".join(
    json.dumps(v).encode() for v in (kind.sound if kind.lines else [kind.sound])
  ) + b"\n")  # fmt: skip
  assert kind.read(tmp_path)
  fuzzing.check(body, contents(kind), thorough=thorough, few=60)
  assert found[True] > 5


def test_any_graph_of_words_is_heads_or_an_error(tmp_path, thorough):
  graphs = write_graphs(tmp_path / "graphs")
  path = graphs / "combined_graph_edges_train.jsonl"
  sound = path.read_bytes().splitlines(keepends=True)
  ends = st.one_of(st.integers(0, 6), st.sampled_from((10**9, 2**31 - 1)))
  edges = st.lists(st.lists(ends, min_size=2, max_size=2), max_size=6)
  lines = st.one_of(
    edges.map(lambda found: json.dumps({"index": 0, "edges": found}).encode()),
    fuzzing.json_texts(json.loads(sound[0])),
  )

  def body(line):
    path.write_bytes(line + b"\n" + b"".join(sound[1:]))
    pictures = command.read_scenes(graphs, "train")
    found = fuzzing.read(
      lambda: command.read_sentences(graphs, "train", pictures),
      tmp_path,
      path.name,
    )
    if not isinstance(found, Exception):
      heads = found["train/1"].heads
      assert len(heads) == 4
      assert all(-1 <= head < 4 for head in heads)

  fuzzing.check(body, lines, thorough=thorough, few=120)


POST = {
  "text": "Ann joins Acme today . Ann",
  "head": "Ann",
  "head_span": [0, 1],
  "tail": "Acme",
  "image": "a.jpg",
  "boxes": BOXES["a.jpg"],
}


def test_any_line_of_posts_is_a_post_or_an_error(tmp_path, thorough):
  path = tmp_path / "posts.jsonl"
  found = collections.Counter()

  def parts(post):
    found[type(fuzzing.read(lambda: read_post(post), tmp_path, ""))] += 1
    fuzzing.read(lambda: images.source(post), tmp_path, "image")
    listed = post.get("boxes") or []
    fuzzing.read(lambda: boxes.read_list(listed, "boxes"), tmp_path, "boxes")

  def body(line):
    path.write_bytes(line + b"\n" + json.dumps(POST).encode() + b"\n")
    with jsonl.reading(str(path)) as posts:
      read = fuzzing.read(lambda: list(posts), tmp_path)
    # Text before it changes no line.
    assert read[-1] == POST
    for post in read:
      parts(post)

  fuzzing.check(body, fuzzing.json_texts(POST), thorough=thorough, few=120)
  assert len(found) > 1


def test_a_name_that_occurs_everywhere_takes_no_time(tmp_path):
  text = "a " * 20_000 + "b c"
  post = {"text": text, "head": "a", "head_span": [20_000, 20_001], "tail": "c"}
  found = fuzzing.read(lambda: read_post(post), tmp_path, "head: expected")
  assert isinstance(found, ValueError)
