"""The first parameters of a run, and their origin as its first lines state it.

text: bert-base-uncased, 197 tensors
vision: openai/clip-vit-base-patch32, 197 tensors
relation head, crop positions, entity markers: random
"""

import collections
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.convert import cache, store
from ifa_jax.files.shown import shown
from ifa_jax.models.config import ModelConfig
from ifa_jax.training.config.run_config import RANDOM

_log = logging.getLogger("ifa_jax")

# Parts of the parameters, in the words of the paper and the config.
_PARTS = {"text": "text", "visual": "vision", "relation_head": "relation head"}
_CROPS = re.compile(r"visual/embed/(grounded|detected)_position")


# Parts of a model that any system may take from another: BERT, and its pooler.
_SHARED = ("text", "pooler")


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


def plan(
  weights: str | None,
  shapes: Mapping[str, tuple[int, ...]],
  system: str = ModelConfig.system,
  relations: Sequence[str] | None = None,
) -> Plan:
  """Decides where each of a run's first parameters comes from.

  Parameters that conversion initialised are drawn again, so that they follow
  the run's seed; so are a relation head for other relations and all that the
  pretrained system does not have.

  Args:
    weights: the setting; None and "random" give a plan without encoders.
    shapes: path -> shape of the run's parameters.
    system: of the run.
    relations: names by id of the run's relations; None leaves them unchecked.

  Raises:
    ValueError: for parameters that the weights lack or give in another shape;
      all are named.
  """
  if weights in (None, RANDOM):
    return Plan.all_random(shapes)
  folder = cache.locate(weights)
  source = store.load_config(folder)
  provenance = store.load_provenance(folder)
  given = store.load_shapes(folder)
  own = {*provenance.get("initialised", ())}
  parts = {path.split("/")[0] for path in given}
  if source.system != system:
    parts &= {*_SHARED}
  taken, drawn, problems = [], [], []
  for path, wanted in shapes.items():
    part = path.split("/")[0]
    found = given.get(path) if part in parts else None
    if found == wanted and path not in own:
      taken.append(path)
    elif path in own or part not in parts or part == "relation_head":
      drawn.append(path)
    else:
      problems.append(f"{path}: expected {wanted}, got {found}")
  if problems:
    raise ValueError("\n  ".join([f"{folder}: weights do not fit", *problems]))
  heads = [path for path in taken if path.startswith("relation_head/")]
  named = provenance.get("relations")
  if heads and relations and not _fits(folder, named, relations):
    taken, drawn = [x for x in taken if x not in heads], drawn + heads
  if not taken:
    raise ValueError(
      f"{folder}: expected weights that {system} can use, got those of"
      f" {source.system}"
    )
  rows = [name.split(", rows ") for name in own if ", rows " in name]
  return Plan(folder, _source_names(provenance, weights), taken, drawn, rows)


def _fits(folder: str, named: Any, relations: Sequence[str]) -> bool:
  """Returns whether a head of the right shape is for a run's relations.

  Logs a warning if it is not, or if the weights do not name theirs.
  """
  if named is None:
    _log.warning(
      "%s: names no relations; its relation head is taken as one for those of"
      " the dataset, in their order",
      folder,
    )
    return True
  if named == [*relations]:
    return True
  _log.warning(
    "%s: relation head left out: expected relations %s, got %s",
    folder,
    shown([*relations]),
    shown(named),
  )
  return False


def _source_names(
  provenance: Mapping[str, Any], weights: str
) -> dict[str, str]:
  """Returns part of the parameters -> the encoder that it comes from."""
  sources = provenance.get("sources", {})
  sides = {"text": "text", "visual": "vision", "pooler": "text"}
  # Those of the setting first: the same files may have been converted before,
  # from another place.
  recorded = {side: source["name"] for side, source in sources.items()}
  named = recorded | cache.parse(weights)
  return {part: named.get(side, weights) for part, side in sides.items()}


def start_params(
  folder: str,
  planned: Plan,
  draw: Callable[[Sequence[str]], Mapping[str, jax.Array]],
) -> dict[str, Any]:
  """Returns a run's first parameters: pretrained ones, and random ones.

  Args:
    folder: of the converted weights.
    planned: as `plan` returned it for them.
    draw: returns random parameters of some paths.
  """
  _, given, _ = store.load_converted(folder)
  given: dict[str, Any] = traverse_util.flatten_dict(given, sep="/")
  params = {path: given[path] for path in planned.taken}
  tables = {path: rows for path, rows in planned.drawn_rows}
  for path, array in draw([*planned.drawn, *tables]).items():
    if path in tables:
      first, last = map(int, tables[path].split(" to "))
      params[path] = np.concatenate(
        [given[path][:first], array[first : last + 1], given[path][last + 1 :]]
      )
    else:
      params[path] = np.asarray(array)
  return traverse_util.unflatten_dict(params, sep="/")
