"""Boxes files, and the boxes of a row's entities."""

import pytest
from raw_tree import box, write_boxes

from ifa_jax.data.images import boxes


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("{", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ('{"a.jpg": [], "a.jpg": []}', "each key .*, got 'a.jpg' 2 times"),
    ([], "got a list"),
    ({"a.jpg": {}}, "picture 'a.jpg': expected a list"),
    ({"a.jpg": [box(0, 0, 1, 1), 3]}, "'a.jpg', box 1: expected an object"),
    ({"a.jpg": [box(0, 0, 1)]}, "box 0: expected four finite numbers"),
    ({"a.jpg": [box(0, 0, 1, "1")]}, "expected four finite numbers"),
    ({"a.jpg": [box(0, 0, 1, True)]}, "expected four finite numbers"),
    ({"a.jpg": [box(0, 0, 1, float("nan"))]}, "expected four finite numbers"),
    ({"a.jpg": [{"score": 1}]}, "expected four finite numbers .* got None"),
    ({"a.jpg": [box(2, 0, 1, 1)]}, "expected x0 < x1"),
    ({"a.jpg": [box(0, 1, 1, 1)]}, "expected x0 < x1"),
    ({"a.jpg": [box(0, 0, 1, 1, score=None)]}, "as 'score', got None"),
    ({"a.jpg": [box(0, 0, 1, 1, phrase=3)]}, "as 'phrase', got 3"),
  ],
)
def test_bad_boxes_are_named_by_picture_and_index(content, message, tmp_path):
  with pytest.raises(ValueError, match=message) as error:
    boxes.read_boxes(write_boxes(tmp_path, content))
  assert "boxes.json" in str(error.value)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("name", "phrase"),
  [
    ("Zoë", "zoë"),
    ("Zoë", "Zoe\u0308"),
    ("St Louis", "st louis."),
    ("St. Louis", "st  louis"),
    ("Jay-Z", "jay - z"),
    ("Ann Lee", "Ann\u00a0Lee"),
    ("Straße", "STRASSE"),
    ("!!", " !!"),
  ],
)
def test_a_phrase_may_have_another_spelling(name, phrase):
  listed = boxes.read_list([box(0, 0, 9, 9, phrase=phrase)], "here")
  assert boxes.grounded(listed, name, "Acme") == listed
  assert boxes.grounded(listed, "Acme", name) == listed


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("name", "phrase"),
  [
    ("Zoë", "Zoe"),
    ("Ann", "Anna"),
    ("C++", "C"),
    ("Ann Lee", "Ann"),
    ("", "!"),
  ],
)
def test_another_name_does_not_match(name, phrase):
  listed = boxes.read_list([box(0, 0, 9, 9, phrase=phrase)], "here")
  assert boxes.grounded(listed, name, "Acme") == []


@pytest.mark.silent_input
def test_a_box_under_two_spellings_counts_once():
  spelt = [box(0, 0, 9, 9, phrase=phrase) for phrase in ("Ann", "ann", "ANN.")]
  listed = boxes.read_list(spelt, "here")
  assert boxes.grounded(listed, "Ann", "ann") == listed[:1]


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("head", "tail", "kept"),
  [
    # Sides of the boxes; scores in hundredths.
    ({5: 20, 6: 20, 7: 20}, {9: 99}, [5, 9, 6]),
    ({5: 20}, {7: 30, 8: 99, 9: 98}, [5, 8, 9]),
    ({5: 20, 6: 90, 7: 30}, {}, [6, 7, 5]),
    ({5: 90, 6: 40}, {8: 80, 9: 50}, [5, 8, 9]),
  ],
)
def test_many_boxes_of_one_name_leave_room_for_the_other(head, tail, kept):
  listed = [
    box(0, 0, side, side, score=score / 100, phrase=phrase)
    for phrase, sides in (("Ann", head), ("Acme", tail))
    for side, score in sides.items()
  ]
  found = boxes.grounded(boxes.read_list(listed, "here"), "Ann", "Acme")
  assert [int(b.edges[2]) for b in found[:3]] == kept


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "edges",
  [
    [0.1, 0.1, 0.6, 0.8],
    [0, 0, 1, 1],
    [0.2, 0.1, 1.01, 0.9],
    [-0.01, 0, 0.5, 1],
  ],
)
def test_fractions_of_a_picture_are_refused(edges):
  message = "here, box 0: expected pixels of the picture, got "
  with pytest.raises(ValueError, match=message) as error:
    boxes.read_list([box(*edges)], "here")
  assert "\n" not in str(error.value)


@pytest.mark.silent_input
def test_fractions_among_pixels_are_refused_and_a_corner_pixel_is_not():
  with pytest.raises(ValueError, match="box 1: expected pixels"):
    boxes.read_list([box(0, 0, 9, 9), box(0.1, 0, 0.5, 0.7)], "here")
  corner = [box(0, 0, 9, 9), box(0, 0, 1, 1)]
  assert len(boxes.read_list(corner, "here")) == 2
  assert len(boxes.read_list([box(0, 0, 2, 0.5)], "here")) == 1


def test_a_label_is_text():
  with pytest.raises(ValueError, match=r"here, box 0: .* as 'label', got 3"):
    boxes.read_list([{"box": [0, 0, 9, 9], "score": 1, "label": 3}], "here")
