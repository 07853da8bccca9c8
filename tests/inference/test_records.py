"""Keys of a post that its record returns."""

import pytest

from ifa_jax.inference.records import kept

POST = {"id": 1, "text": "Ann at Acme", "head": "Ann", "tail": "Acme"}
ANSWER = {
  "relation": "None",
  "probability": 0.75,
  "probabilities": {"None": 0.75, "/per/org/member_of": 0.25},
  "protocol": "clean",
}
OWN = [
  {"relation": "/per/org/member_of"},
  {"relation": ["a", "b"], "probability": None},
  {"protocol": "ours"},
  {"error": {"rate": 0.1}},
  # A line of predictions_test.jsonl, whose relation is `pred`.
  {key: value for key, value in ANSWER.items() if key != "relation"},
  # All four, but inconsistent.
  ANSWER | {"probability": 0.5},
  ANSWER | {"relation": "/a/b/c"},
  ANSWER | {"relation": ["None"]},
  ANSWER | {"probabilities": [0.75, 0.25]},
]


@pytest.mark.silent_input
@pytest.mark.parametrize("own", OWN)
def test_a_posts_own_values_are_kept_under_given(own):
  assert kept(POST | own) == POST | {"given": own}
  assert kept(kept(POST | own)) == kept(POST | own)


@pytest.mark.silent_input
def test_a_posts_own_given_is_kept_too():
  own = {"given": 5, "relation": "x"}
  assert kept(POST | own) == POST | {"given": own}
  assert kept(POST | {"given": 5}) == POST | {"given": 5}


def test_an_earlier_answer_is_left_out():
  assert kept(POST | ANSWER) == POST
  again = POST | {"given": {"relation": "x"}}
  assert kept(again | ANSWER) == again


@pytest.mark.silent_input
def test_a_posts_own_error_is_kept_unless_it_is_the_records():
  failed = POST | {"error": "tail: 'Bob' does not occur"}
  assert kept(failed, failed["error"]) == POST
  own = {"given": {"error": failed["error"]}}
  assert kept(failed) == kept(failed, "head: another") == POST | own


def test_pictures_in_bytes_are_left_out():
  assert kept(POST | {"image": b"x", "relation": b"y"}) == POST
