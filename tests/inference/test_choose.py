"""Relations chosen among pairs, against a plain enumeration."""

import numpy as np
import pytest

from ifa_jax.inference.choose import Choice

NAMES = ("None", "/per/per/couple", "/per/org/member_of")
TYPES = ["per", "org", None]
PAIRS = [
  (0, 1, np.float32([0.1, 0.6, 0.3])),
  (1, 0, np.float32([0.2, 0.5, 0.3])),
  (0, 2, np.float32([0.8, 0.1, 0.1])),
  (2, 1, np.float32([0.1, 0.2, 0.7])),
]


def chosen(**settings):
  choice = Choice(**settings)
  choice.check(NAMES)
  found = choice.relations(PAIRS, TYPES, NAMES)
  return [
    (x["head"], x["tail"], NAMES.index(x["relation"]), x["probability"])
    for x in found
  ]


MEMBER, COUPLE, BACK = (2, 1, 2, 0.7), (0, 1, 1, 0.6), (1, 0, 1, 0.5)


@pytest.mark.parametrize(
  ("settings", "wanted"),
  [
    ({}, [MEMBER, COUPLE, BACK]),
    ({"threshold": 0.6}, [MEMBER, COUPLE]),
    ({"threshold": {NAMES[2]: 0.8}}, [COUPLE, BACK]),
    ({"top_k": 1}, [MEMBER]),
    ({"symmetric": [NAMES[1]]}, [MEMBER, COUPLE]),
    ({"symmetric": [NAMES[2]]}, [MEMBER, COUPLE, BACK]),
    # No type allows a couple with an organisation: (1, 0) has only "None".
    ({"allowed": "names"}, [MEMBER, (0, 1, 2, 0.3)]),
    (
      {"allowed": {NAMES[1]: [["per"], ["org"]]}},
      [MEMBER, COUPLE, (1, 0, 2, 0.3)],
    ),
  ],
)
def test_settings_choose(settings, wanted):
  assert chosen(**settings) == wanted


@pytest.mark.parametrize("none", ["none", "NONE"])
def test_the_negative_class_is_not_listed_however_it_is_spelled(none):
  names = (none, *NAMES[1:])
  found = Choice(allowed={NAMES[1]: ([], [])}).relations(PAIRS, TYPES, names)
  assert [x["relation"] for x in found] == [NAMES[2]] * 3
  assert Choice().relations(PAIRS[2:3], TYPES, names) == []


def test_the_distribution_is_the_models():
  (first, *_) = Choice(probabilities=True, allowed="names").relations(
    PAIRS[:1], TYPES, NAMES
  )
  assert first["relation"] == NAMES[2]
  assert first["probabilities"] == dict(
    zip(NAMES, (0.1, 0.6, 0.3), strict=True)
  )


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "settings",
  [
    {"threshold": 50},
    {"threshold": {"/per/per/couples": 0.5}},
    {"top_k": 0},
    {"allowed": "types"},
    {"allowed": {NAMES[1]: ["per", "per"]}},
    {"symmetric": ["couple"]},
  ],
)
def test_what_fits_no_relation_is_an_error(settings):
  with pytest.raises(ValueError, match=f"^{next(iter(settings))}: expected"):
    chosen(**settings)
