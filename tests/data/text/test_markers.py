"""Entity markers in lists of words, and windows around entities."""

import itertools

import pytest

from ifa_jax.data.text import markers

WORDS = ["Bill", "Cosby", "in", "Rome"]


def joined(head, tail):
  return " ".join(t.text for t in markers.insert_markers(WORDS, head, tail))


@pytest.mark.parametrize(
  ("head", "tail", "expected"),
  [
    # Sentence start and sentence end.
    ((0, 2), (3, 4), "<s> Bill Cosby </s> in <o> Rome </o>"),
    # The tail first.
    ((3, 4), (0, 2), "<o> Bill Cosby </o> in <s> Rome </s>"),
    # Adjacent: the first closes before the second opens.
    ((2, 3), (3, 4), "Bill Cosby <s> in </s> <o> Rome </o>"),
    ((3, 4), (2, 3), "Bill Cosby <o> in </o> <s> Rome </s>"),
    # Nested, ending, starting and inside the outer.
    ((0, 4), (2, 4), "<s> Bill Cosby <o> in Rome </o> </s>"),
    ((2, 4), (0, 4), "<o> Bill Cosby <s> in Rome </s> </o>"),
    ((0, 2), (0, 4), "<o> <s> Bill Cosby </s> in Rome </o>"),
    ((0, 4), (0, 2), "<s> <o> Bill Cosby </o> in Rome </s>"),
    ((0, 4), (1, 2), "<s> Bill <o> Cosby </o> in Rome </s>"),
    # Equal: the head is the outer.
    ((3, 4), (3, 4), "Bill Cosby in <s> <o> Rome </o> </s>"),
    # Overlapping without nesting: they cross as the spans do.
    ((0, 3), (1, 4), "<s> Bill <o> Cosby in </s> Rome </o>"),
  ],
)
def test_markers_are_around_the_spans(head, tail, expected):
  assert joined(head, tail) == expected


def test_every_pair_of_spans_keeps_words_and_is_well_formed():
  spans = list(itertools.combinations(range(5), 2))
  for head, tail in itertools.product(spans, spans):
    tokens = markers.insert_markers(WORDS, head, tail)
    assert [t.word for t in tokens if t.word is not None] == [0, 1, 2, 3]
    texts = [t.text for t in tokens]
    for opening, closing, (begin, end) in (
      ("<s>", "</s>", head),
      ("<o>", "</o>", tail),
    ):
      inside = tokens[texts.index(opening) : texts.index(closing)]
      words = [t.word for t in inside if t.word is not None]
      assert words == list(range(begin, end))
    nested_or_apart = (
      head[1] <= tail[0]
      or tail[1] <= head[0]
      or (head[0] - tail[0]) * (head[1] - tail[1]) <= 0
    )
    order = [t.text for t in tokens if t.word is None]
    crossing = order in (
      ["<s>", "<o>", "</s>", "</o>"],
      ["<o>", "<s>", "</o>", "</s>"],
    )
    assert crossing == (not nested_or_apart), (head, tail, order)


def test_a_word_that_looks_like_a_marker_is_a_word():
  tokens = markers.insert_markers(["<s>", "x"], (0, 1), (1, 2))
  assert tokens[:3] == [("<s>", None), ("<s>", 0), ("</s>", None)]


@pytest.mark.parametrize("span", [(2, 2), (3, 2), (-1, 1), (3, 5)])
def test_empty_and_outside_spans_are_refused(span):
  with pytest.raises(ValueError, match="tail's span"):
    markers.insert_markers(WORDS, (0, 1), span)


@pytest.mark.parametrize(
  ("pieces", "head", "tail", "budget", "kept"),
  [
    ([1] * 4, (0, 1), (3, 4), 9, [0, 1, 2, 3]),
    ([1] * 8, (1, 2), (6, 7), 4, [0, 1, 2, 6]),
    ([1] * 8, (1, 2), (6, 7), 2, [1, 6]),
    # Two windows; nothing between them.
    ([1] * 20, (3, 4), (15, 16), 6, [2, 3, 4, 14, 15, 16]),
    # The next word does not fit, so no later one is added either.
    ([1, 1, 5, 1], (0, 1), (1, 2), 4, [0, 1]),
    # Overlapping spans count once.
    ([2] * 3, (0, 2), (1, 2), 4, [0, 1]),
    # Words without pieces cost nothing.
    ([1, 0, 1, 1], (0, 1), (3, 4), 3, [0, 1, 2, 3]),
  ],
)
def test_window_grows_around_the_entities(pieces, head, tail, budget, kept):
  assert markers.window(pieces, head, tail, budget) == kept


def test_window_refuses_entities_that_do_not_fit():
  with pytest.raises(ValueError, match="take 6 word pieces, only 5 fit"):
    markers.window([3, 1, 3], (0, 1), (2, 3), 5)
