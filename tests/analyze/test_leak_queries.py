"""Queries of published crops, compared with the gold relations."""

import leak_trees
import pytest

from ifa_jax.analyze.leak import command, information, queries


@pytest.mark.parametrize(
  ("relation", "types"),
  [
    ("/per/org/member_of", ("person", "organization")),
    ("/loc/loc/contain", ("location", "location")),
    ("/per/misc/present_in", ("person",)),
    ("/misc/loc/held_on", ("location",)),
    ("/misc/misc/part_of", ()),
    ("None", ()),
    ("none", ()),
  ],
)
def test_types_are_those_of_the_arguments(relation, types):
  assert queries.gold_types(relation) == types


@pytest.mark.parametrize(
  ("query", "tail", "types"),
  [
    ("Jungkook BTS person organization", "BTS", ["person", "organization"]),
    ("Rihanna Dolce&amp;Gabbana person", "Dolce&amp;Gabbana", ["person"]),
    ("London Jungkook", "@Jungkook", []),
    # Only words after the names count.
    ("person Rome", "Rome", []),
    ("Bob my location location", "my location", ["location"]),
    ("Bob my location", "my location", []),
  ],
)
def test_types_are_read_after_the_names(query, tail, types):
  assert list(queries.query_types(query, tail)) == types


@pytest.mark.parametrize(
  ("equal", "rows", "verdict"),
  [
    (500, 500, information.LEAK),
    (20, 20, information.TOO_FEW),
    (70, 100, information.NO_LEAK),
    (0, 0, information.TOO_FEW),
  ],
)
def test_queries_leak_if_they_are_right_too_often(equal, rows, verdict):
  assert queries.judge(equal, rows)["verdict"] == verdict


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"{", "phrase_text_val.json: not JSON"),
    (b"\xff", "phrase_text_val.json: not JSON"),
    (b"[]", "expected an object of rows to queries, got a list"),
    (b'{"0": 1}', r"expected rows .* and queries, got '0': 1"),
    (b'{"a": "b"}', r"expected rows .* and queries, got 'a': 'b'"),
    (b'{"0": "b"}', "ours_val.txt:2: expected its query .* no entry 1"),
    pytest.param(
      b'{"1": "a", "01": "b"}',
      r"phrase_text_val.json: expected rows .*, got '01': 'b'",
      marks=pytest.mark.silent_input,
    ),
    pytest.param(
      b'{"\xd9\xa0": "a"}',
      "expected rows",
      marks=pytest.mark.silent_input,
    ),
  ],
)
def test_bad_queries_are_named(content, message, tmp_path):
  tree = leak_trees.write(
    tmp_path,
    leak_trees.labels(),
    None,
    leak_trees.released_query,
    files={"img_org/x": b""},
  )
  (tmp_path / "txt/phrase_text_val.json").write_bytes(content)
  with pytest.raises(ValueError, match=message):
    command.measure(tree)


@pytest.mark.parametrize("lacking", [["val", "test"], ["train"]])
def test_queries_of_some_splits_only_are_refused(lacking, tmp_path):
  tree = leak_trees.write(
    tmp_path, leak_trees.labels(), None, leak_trees.released_query
  )
  for split in lacking:
    (tmp_path / f"txt/phrase_text_{split}.json").unlink()
  with pytest.raises(
    ValueError, match=f"all splits or of none, got none of {', '.join(lacking)}"
  ):
    command.measure(tree)
