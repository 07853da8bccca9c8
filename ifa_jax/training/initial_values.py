"""The origin of a run's first parameters, as its first lines state it.

text: bert-base-uncased, 197 tensors
vision: openai/clip-vit-base-patch32, 197 tensors
relation head, crop positions, entity markers: random
"""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Parts of the parameters, in the words of the paper and the config.
_PARTS = {"text": "text", "visual": "vision", "relation_head": "relation head"}
_CROPS = re.compile(r"visual/embed/(grounded|detected)_position")


class Plan(NamedTuple):
  """Where each of a run's first parameters comes from.

  Attributes:
    folder: of the converted weights; None: all parameters are random.
    sources: part of the parameters -> name of the encoder it comes from.
    taken: paths of parameters that the folder gives.
    drawn: paths of parameters that are random.
    drawn_rows: (path, "FIRST to LAST") of rows within taken tables that are
      random: those of the four entity markers.
  """

  folder: str | None
  sources: Mapping[str, str]
  taken: Sequence[str]
  drawn: Sequence[str]
  drawn_rows: Sequence[Sequence[str]]

  @classmethod
  def all_random(cls, paths: Iterable[str]) -> "Plan":
    """Returns the plan of a run whose parameters are all random."""
    return cls(None, {}, [], [*paths], [])

  def lines(self) -> list[str]:
    """Returns a line for each pretrained part and one for all random ones."""
    taken = collections.Counter(path.split("/")[0] for path in self.taken)
    found = [
      f"{_PARTS.get(part, part)}: {self.sources.get(part, self.folder)},"
      f" {count} tensors"
      for part, count in sorted(taken.items())
    ]
    named = _random_parts(self.drawn, {*taken})
    if self.drawn_rows:
      named.append("entity markers")
    return [*found, f"{', '.join(named)}: random"] if named else found


def _random_parts(drawn: Sequence[str], taken: set[str]) -> list[str]:
  """Returns parts that are random, and parameters that are within others."""
  named = {}
  for path in drawn:
    part = path.split("/")[0]
    if part not in taken:
      named[_PARTS.get(part, part)] = None
    else:
      named["crop positions" if _CROPS.fullmatch(path) else path] = None
  return [*named]
