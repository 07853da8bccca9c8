"""Dataclasses of settings from and to plain values."""

import dataclasses
from collections.abc import Mapping

import pytest

from ifa_jax.files import dataclass_dict
from ifa_jax.files.dataclass_dict import Count, Rate


@dataclasses.dataclass(frozen=True)
class Part:
  rate: float = 0.5
  sizes: tuple[int, ...] = (1, 2)
  mean: tuple[float, float] = (0.0, 1.0)
  dropout: Rate = 0.1
  depth: Count | None = None


@dataclasses.dataclass(frozen=True)
class Whole:
  name: str = "a"
  count: int = 3
  flag: bool = False
  limit: int | None = None
  part: Part | None = Part()
  parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)


WHOLE = Whole(limit=7, parts={"x": Part(rate=2.0, sizes=())})


def test_round_trip():
  written = dataclass_dict.to_dict(WHOLE)
  assert written["part"] == {
    "rate": 0.5,
    "sizes": [1, 2],
    "mean": [0.0, 1.0],
    "dropout": 0.1,
    "depth": None,
  }
  assert dataclass_dict.from_dict(Whole, written) == WHOLE
  assert dataclass_dict.from_dict(Whole, {}) == Whole()
  assert dataclass_dict.from_dict(Whole, {"part": None}).part is None
  assert dataclass_dict.from_dict(Whole, {"part": Part(1.0)}).part == Part(1.0)


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({"count": "3"}, "count: expected int, got '3'"),
    ({"count": 3.0}, "count: expected int, got 3.0"),
    ({"count": True}, "count: expected int, got True"),
    ({"flag": 1}, "flag: expected bool, got 1"),
    ({"name": None}, "name: expected str, got None"),
    ({"limit": "x"}, "limit: expected int or None, got 'x'"),
    ({"part": 3}, "part: expected Part or None, got 3"),
    ({"part": {"rate": "1"}}, "part.rate: expected float, got '1'"),
    ({"part": {"sizes": [1, "b"]}}, "part.sizes: expected tuple[int, ...], "),
    ({"part": {"sizes": "ab"}}, "part.sizes: expected tuple[int, ...], got "),
    ({"part": {"mean": [1.0]}}, "part.mean: expected tuple[float, float], got"),
    ({"part": {"depth": 0}}, "part.depth: expected at least 1, got 0"),
    ({"part": {"depth": 1.0}}, "part.depth: expected int or None, got 1.0"),
    (
      {"part": {"dropout": 1}},
      "part.dropout: expected at least 0 and below 1, got 1",
    ),
    ({"part": {"dropout": -0.1}}, "part.dropout: expected at least 0 and"),
    ({"part": {"dropout": float("nan")}}, "part.dropout: expected at least 0"),
    ({"parts": {"x": 1}}, "parts.x: expected Part, got 1"),
    ({"parts": [1]}, "parts: expected collections.abc.Mapping"),
  ],
)
def test_a_value_of_another_type_is_named(given, message):
  with pytest.raises(ValueError, match=r"expected") as error:
    dataclass_dict.from_dict(Whole, given)
  assert str(error.value).startswith(message)


def test_a_float_may_be_written_as_a_whole_number():
  assert dataclass_dict.from_dict(Part, {"rate": 1}).rate == 1


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({"cuont": 1}, "cuont: no such setting; did you mean count?"),
    ({"part": {"raet": 1}}, "part.raet: no such setting; did you mean part.ra"),
    ({"parts": {"x": {"q": 1}}}, "parts.x.q: no such setting"),
  ],
)
def test_an_unknown_key_is_named_with_the_nearest(given, message):
  with pytest.raises(KeyError) as error:
    dataclass_dict.from_dict(Whole, given)
  assert error.value.args[0].startswith(message)
