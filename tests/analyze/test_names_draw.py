"""New names: their types, their form, and no trace of the label."""

import collections
import json

import numpy as np
import pytest

from ifa_jax.analyze.names import draw, invent
from ifa_jax.analyze.names.types import Pair, Types, of_relations

RELATIONS = ["None", "/per/org/member_of", "/per/loc/born_in"]
KINDS = {RELATIONS[1]: ("per", "org"), RELATIONS[2]: ("per", "loc")}


def pair(head, tail, relation="None"):
  return Pair((*head.split(),), (*tail.split(),), relation)


@pytest.fixture(scope="module", name="pairs")
def pairs_of_many_names():
  found = []
  for i in range(30):
    kind = 1 + i % 2
    found.append(pair(f"Ann {i}", f"{'XAL'[kind]}{i}", RELATIONS[kind]))
  return [*found, pair("Only here", "Nor there"), pair("Ann 3", "L5")]


@pytest.fixture(scope="module", name="dataset")
def dataset_of_the_pairs(pairs):
  known = draw.pairs_of(pairs)
  return draw.Dataset(Types(pairs, KINDS), known, frozenset({"ann"}))


def test_types_come_from_relations_or_a_file(tmp_path):
  assert of_relations(RELATIONS) == KINDS
  path = tmp_path / "types.json"
  path.write_text(json.dumps({"works_at": ["per", "org"]}))
  found = of_relations(["none", "works_at"], str(path))
  assert found == {"works_at": ("per", "org")}


@pytest.mark.silent_input
@pytest.mark.parametrize("given", [{}, [], {"works_at": "po"}, {"a": ["b"]}])
def test_a_relation_without_two_types_is_refused(given, tmp_path):
  path = tmp_path / "types.json"
  path.write_text(json.dumps(given))
  with pytest.raises(ValueError, match=r"types.json: expected .*'works_at'"):
    of_relations(["None", "works_at"], str(path))
  with pytest.raises(ValueError, match=r"--types: expected .*'works_at'"):
    of_relations(["None", "works_at"])


def test_a_name_has_the_type_that_it_has_most_often():
  pairs = [pair("Paris", "Acme", RELATIONS[1])]
  pairs += [pair("Ann", "PARIS", RELATIONS[2])] * 2
  types = Types([*pairs, pair("Paris", "fog")], KINDS)
  assert types.most_frequent(("paris",)) == "loc"
  assert types.most_frequent(("fog",)) is None
  assert types.names == {
    "per": [("Ann",)],
    "org": [("Acme",)],
    "loc": [("PARIS",), ("Paris",)],
  }


def test_unknown_types_are_drawn_by_the_frequency_of_their_role():
  pairs = [pair("Ann", "Acme", RELATIONS[1])]
  pairs += [pair("Ann", "Paris", RELATIONS[2])] * 3
  types, rng = Types(pairs, KINDS), np.random.default_rng(0)
  assert {types.draw(0, rng) for _ in range(50)} == {"per"}
  drawn = collections.Counter(types.draw(1, rng) for _ in range(2000))
  assert drawn["loc"] / 2000 == pytest.approx(3 / 4, abs=0.04)
  assert drawn.keys() == {"loc", "org"}


@pytest.mark.parametrize("way", draw.WAYS)
def test_the_label_of_a_row_does_not_change_its_new_names(dataset, way):
  options = np.arange(4), dataset, way, 3
  names = [("Ann 0", "A0"), ("Ann 1", "L1"), ("Ann 2", "A2"), ("Ann 5", "L5")]
  # The dataset knows the types of these names from other rows.
  labels = [RELATIONS[1 + (tail[0] == "L")] for _, tail in names]
  drawn = [
    draw.draw([*map(pair, *zip(*names, strict=True), given)], *options)
    for given in (labels, ["None"] * 4)
  ]
  assert drawn[0].names == drawn[1].names
  assert not drawn[0].guessed.any()


def test_rows_of_all_labels_draw_from_the_same_names(dataset):
  # Two kinds of rows with names of the same types.
  seen = collections.defaultdict(set)
  rows = [pair("Ann 0", "L1", RELATIONS[2]), pair("Ann 0", "L1")]
  for seed in range(300):
    found = draw.draw(rows, np.arange(2), dataset, "exchange", seed)
    for row, names in zip(rows, found.names, strict=True):
      seen[row.relation].update(names)
  wanted = {*dataset.types.names["per"], *dataset.types.names["loc"]}
  wanted -= {("Ann", "0"), ("L1",)}
  assert seen[RELATIONS[2]] == seen["None"] == wanted


@pytest.mark.parametrize("way", draw.WAYS)
def test_new_pairs_are_in_no_split_and_consistent_in_a_post(
  pairs, dataset, way
):
  posts = np.arange(len(pairs)) // 4
  known = {frozenset((" ".join(x.head), " ".join(x.tail))) for x in pairs}
  for seed in range(20):
    found = draw.draw(pairs, posts, dataset, way, seed)
    new = collections.defaultdict(set)
    for post, row, names in zip(posts, pairs, found.names, strict=True):
      assert frozenset(map(" ".join, names)) not in known
      for old, name in zip(row[:2], names, strict=True):
        new[post, old].add(name)
        assert name != old
    assert {len(x) for x in new.values()} == {1}
    for post in {*posts}:
      given = [name for (own, _), x in new.items() if own == post for name in x]
      assert len({*given}) == len(given)


def test_exchanged_names_keep_their_type_and_others_draw_one(pairs, dataset):
  found = draw.draw(pairs, np.arange(len(pairs)), dataset, "exchange", 0)
  for row, names in zip(pairs, found.names, strict=True):
    for name, kind in zip(names, KINDS.get(row.relation, ()), strict=False):
      assert name in dataset.types.names[kind]
  guessed = [row == pair("Only here", "Nor there") for row in pairs]
  assert found.guessed.tolist() == guessed
  every = {name for some in dataset.types.names.values() for name in some}
  assert ("Only", "here") not in every
  other = draw.draw(pairs, np.arange(len(pairs)), dataset, "exchange", 1)
  assert other.names != found.names


def test_too_few_names_are_an_error():
  pairs = [pair("Ann", "Acme", RELATIONS[1])]
  few = draw.Dataset(Types(pairs, KINDS), draw.pairs_of(pairs), frozenset())
  with pytest.raises(ValueError, match="--names=exchange: expected enough"):
    draw.draw(pairs, np.zeros(1, int), few, "exchange", 0)


@pytest.mark.parametrize(
  ("pairs", "message"),
  [
    ([pair("Ann", "Acme")], "expected rows with a relation, .* got none"),
    # Each name of an org is a loc more often.
    (
      [pair("Ann", "Acme", RELATIONS[1])]
      + [pair("Ann", "Acme", RELATIONS[2])] * 2,
      "expected names that are most often of the type org, got none",
    ),
  ],
)
def test_types_without_names_are_an_error(pairs, message):
  dataset = draw.Dataset(Types(pairs, KINDS), draw.pairs_of(pairs), frozenset())
  with pytest.raises(ValueError, match=f"^--names=exchange: {message}"):
    draw.draw(pairs[:1], np.zeros(1, int), dataset, "exchange", 0)


def test_invented_names_need_no_types(pairs):
  untyped = draw.Dataset(Types(pairs, {}), draw.pairs_of(pairs), frozenset())
  posts = np.arange(len(pairs))
  found = draw.draw(pairs, posts, untyped, "invented", 0)
  assert not found.guessed.any()
  typed = draw.Dataset(Types(pairs, KINDS), untyped.pairs, frozenset())
  assert draw.draw(pairs, posts, typed, "invented", 0).names == found.names


def test_invented_names_have_the_form_of_the_original():
  like = ("@AnnLee", "NEWS", "#tag", "2018", "Ann", "ann", "&", "A")
  rng = np.random.default_rng(0)
  made = invent.name(like, (), rng)
  assert len(made) == len(like)
  assert made[0][0] == "@"
  assert made[0][1:].istitle()
  assert made[1].isupper()
  assert made[2][0] == "#"
  assert made[2][1:].islower()
  assert made[3].isdigit()
  assert len(made[3]) == 4
  assert made[4].istitle()
  assert made[5].islower()
  assert made[6] == "&"
  assert not {*made} & {*like} - {"&"}
  assert all(map(str.istitle, invent.name(("O'Neil's", "Louis,"), (), rng)))
  lower = invent.name(("(Ann)", "iPhone"), (), rng)
  assert all(word.isalpha() and word.islower() for word in lower)
  assert invent.name(("🔥",), (), rng)[0].isalpha()


def test_invented_words_are_none_of_the_known():
  first = invent.name(("ann",), (), np.random.default_rng(5))
  second = invent.name(("ann",), {*first}, np.random.default_rng(5))
  assert first != second
