"""Names are whole letters and emoji of a post's text."""

import pytest

from ifa_jax.inference.post import read_post


@pytest.mark.parametrize(
  ("name", "longer"),
  [
    ("राम", "रामायण"),
    ("Ann", "Ann\u0301a"),
    ("👩", "👩\u200d🚀"),
    ("👍", "👍🏽"),
  ],
)
def test_a_name_does_not_end_within_a_letter_or_emoji(name, longer):
  post = read_post({"text": f"{longer} {name} x", "head": name, "tail": "x"})
  assert post.head == (1, 2)


@pytest.mark.parametrize(
  ("name", "longer"),
  [
    ("🚀", "👩\u200d🚀"),
    ("🚀", "👩🏽\u200d🚀"),
    ("🔥", "❤\ufe0f\u200d🔥"),
    ("\u0301", "e\u0301"),
    ("🏽", "👍🏽"),
  ],
)
def test_a_name_does_not_begin_within_a_letter_or_emoji(name, longer):
  post = read_post({"text": f"{longer} {name} x", "head": name, "tail": "x"})
  assert post.head == (1, 2)
  with pytest.raises(ValueError, match="occurs only as part of"):
    read_post({"text": f"{longer} x", "head": name, "tail": "x"})


@pytest.mark.parametrize(
  "before", ["അവന\u0d4d\u200d", "👩 \u200d", "\u200d", "Ann\u200d"]
)
def test_a_name_begins_after_a_joiner_that_joins_no_emoji(before):
  post = read_post({"text": f"{before}🚀 x", "head": "🚀", "tail": "x"})
  assert post.names[0] == "🚀"
