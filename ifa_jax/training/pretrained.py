"""Pretrained weights of a run: their facts, and the parameters they give.

The first lines of a run state the origin of its parameters:

text: bert-base-uncased, 197 tensors
vision: openai/clip-vit-base-patch32, 197 tensors
relation head, crop positions, entity markers: random
"""

import collections
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.convert import cache, store
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.files.shown import first_of, shown
from ifa_jax.models import parameters, registry, variants
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime import collectives
from ifa_jax.training.config.run_config import RANDOM

_log = logging.getLogger("ifa_jax")

# Parts of the parameters, as the paper and the config call them.
_PARTS = {"text": "text", "visual": "vision", "relation_head": "relation head"}
_CROPS = re.compile(r"visual/embed/(grounded|detected)_position")
# Parts that any system can take from another: BERT and its pooler, and a stream
# of captions, which starts as a copy of BERT.
_SHARED = {"text", "pooler", "caption"}


class Encoders(NamedTuple):
  """Facts about pretrained encoders that decide a config."""

  model: System  # The pretrained model.
  # Parts of the parameters without an encoder, e.g. ["visual"].
  random_parts: Sequence[str]
  tokenizer_sha256: str | None  # Of the text encoder's tokenizer, or None.
  # Side -> name, and sha256 of each file, as the conversion recorded them.
  sources: Mapping[str, Any]


def read(weights: str) -> Encoders:
  """Returns the facts about the encoders that a setting names.

  Raises:
    ValueError: for encoders that cannot be found or read.
  """
  folder = cache.locate(weights)
  config = store.load_config(folder)
  provenance = store.load_provenance(folder)
  converted = {*parameters.param_shapes(config)}
  parts = {_part(path) for path in converted}
  converted -= {*provenance.get("initialised", ())}
  random_parts = sorted(parts - {_part(path) for path in converted})
  tokenizer = store.tokenizer_folder(folder)
  sha256 = Tokenizer.load(tokenizer).sha256 if tokenizer else None
  return Encoders(config, random_parts, sha256, provenance.get("sources", {}))


def record(weights: str | None) -> dict[str, Any] | None:
  """Returns the facts for a run's `config.json`, plain values."""
  if weights in (None, RANDOM):
    return None
  found = read(weights)
  return found._asdict() | {"model": registry.to_dict(found.model)}


def from_record(record: Mapping[str, Any], weights: str) -> Encoders | None:
  """Returns the facts in a run's `config.json`.

  None for a run that has not begun (an empty record), or from other weights.
  """
  found = record.get("pretrained")
  if not found or record["config"]["weights"] != weights:
    return None
  model = registry.from_dict(found["model"])
  return Encoders(*map(found.get, Encoders._fields))._replace(model=model)


def files(sources: Mapping[str, Any]) -> dict[str, Any]:
  """Returns side -> sha256 of each file, without the names of the encoders."""
  return {side: source["files"] for side, source in sources.items()}


def check_same_everywhere(weights: str) -> None:
  """Checks that all processes of a run found the same encoders.

  Raises:
    ValueError: on every process, if the files of one differ from the first's.
  """
  if collectives.count() == 1:
    return
  described = json.dumps(files(read(weights).sources), sort_keys=True)
  digest = hashlib.sha256(described.encode()).hexdigest()
  first, *others = collectives.gather_texts(digest)
  for number, other in enumerate(others, start=1):
    if other != first:
      raise ValueError(
        "config.weights: expected the same encoders on every process, got"
        f" other files on process {number} than on process 0"
      )


class Plan(NamedTuple):
  """The origin of each of a run's initial parameters."""

  # Of the converted weights; None: all parameters are random.
  folder: str | None
  # Part of the parameters -> name of the encoder it comes from.
  sources: Mapping[str, str]
  taken: Sequence[str]  # Paths of parameters that the folder gives.
  drawn: Sequence[str]  # Paths of parameters that are random.
  # (path, "FIRST to LAST") of rows within taken tables that are random: those
  # of the four entity markers.
  drawn_rows: Sequence[Sequence[str]]

  def lines(self) -> list[str]:
    """Returns a line for each pretrained part and one for all random ones."""
    taken = collections.Counter(map(_part, self.taken))
    found = [
      f"{_PARTS.get(part, part)}: {self.sources.get(part, self.folder)},"
      f" {count} tensors"
      for part, count in sorted(taken.items())
    ]

    def describe(path: str) -> str:
      part = _part(path)
      if part not in taken:
        return _PARTS.get(part, part)
      return _CROPS.sub("crop positions", path)

    named = dict.fromkeys(map(describe, self.drawn))
    random = [*named, *(["entity markers"] if self.drawn_rows else [])]
    return [*found, f"{', '.join(random)}: random"] if random else found


def plan(
  weights: str | None,
  shapes: Mapping[str, tuple[int, ...]],
  system: str = ModelConfig.system,
  relations: Sequence[str] | None = None,
) -> Plan:
  """Decides the origin of each of a run's initial parameters.

  Parameters that the conversion initialised are drawn again, to follow the
  run's seed; so are a relation head for other relations and all parameters that
  the pretrained system does not have.

  Args:
    weights: the setting; None and "random" give a plan without encoders.
    shapes: path -> shape of the run's parameters.
    system: of the run.
    relations: of the run, by id; None skips their check.

  Raises:
    ValueError: for parameters that the weights lack or have in another shape;
      all are named.
  """
  if weights in (None, RANDOM):
    return Plan(None, {}, [], [*shapes], [])
  folder = cache.locate(weights)
  source = store.load_config(folder)
  provenance = store.load_provenance(folder)
  given = _copy_to_captions(store.load_shapes(folder))
  own = {*provenance.get("initialised", ())}
  own |= {*_copy_to_captions(dict.fromkeys(own))}
  parts = {_part(path) for path in given}
  if source.system != system:
    pixels = {"visual"} if {source.system, system} <= variants.OF_PIXELS else {}
    parts &= _SHARED.union(pixels)
  taken, drawn, problems = [], [], []
  for path, wanted in shapes.items():
    part = _part(path)
    found = given.get(path) if part in parts else None
    if found == wanted and path not in own:
      taken.append(path)
    elif path in own or part not in parts or part == "relation_head":
      drawn.append(path)
    else:
      problems.append(f"{path}: expected {wanted}, got {found}")
  if problems:
    raise ValueError(
      "\n  ".join([f"{folder}: weights do not fit", *first_of(problems)])
    )
  heads = [path for path in taken if _part(path) == "relation_head"]
  named = provenance.get("relations")
  if heads and relations and not _fits(folder, named, relations):
    taken, drawn = [x for x in taken if x not in heads], drawn + heads
  if not taken:
    raise ValueError(
      f"{folder}: expected weights that {system} can use, got those of"
      f" {source.system}"
    )
  rows = [name.split(", rows ") for name in own if ", rows " in name]
  rows = [row for row in rows if row[0] in shapes]
  return Plan(folder, _source_names(provenance, weights), taken, drawn, rows)


def _copy_to_captions(given: Mapping[str, Any]) -> dict[str, Any]:
  """Returns path -> value with BERT's for a stream of captions as well.

  Weights that have such a stream are returned unchanged.
  """
  if any(_part(path) == "caption" for path in given):
    return {**given}
  copies = {
    path.replace("text/", "caption/", 1): value
    for path, value in given.items()
    if _part(path) == "text"
  }
  return {**given, **copies}


def _part(path: str) -> str:
  return path.partition("/")[0]


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
  elif named != [*relations]:
    _log.warning(
      "%s: relation head left out: expected relations %s, got %s",
      folder,
      shown([*relations]),
      shown(named),
    )
    return False
  return True


def _source_names(
  provenance: Mapping[str, Any], weights: str
) -> dict[str, str]:
  """Returns part of the parameters -> the encoder that it comes from."""
  sources = provenance.get("sources", {})
  sides = {"text": "text", "visual": "vision", "pooler": "text"}
  sides["caption"] = "text"
  # Names of the setting win: the same files may have been converted before,
  # from another place.
  recorded = {side: source["name"] for side, source in sources.items()}
  named = recorded | cache.parse(weights)
  return {part: named.get(side, weights) for part, side in sides.items()}


def start_params(
  planned: Plan, draw: Callable[[Iterable[str]], Mapping[str, jax.Array]]
) -> dict[str, Any]:
  """Returns a run's initial parameters: pretrained and random ones.

  The plan has a folder; `draw` returns random parameters of some paths.
  """
  _, tree, _ = store.load_converted(planned.folder or "")
  given: dict[str, Any] = _copy_to_captions(
    traverse_util.flatten_dict(tree, sep="/")
  )
  params = {path: given[path] for path in planned.taken}
  tables = {path: rows for path, rows in planned.drawn_rows}
  for path, array in draw([*planned.drawn, *tables]).items():
    params[path] = np.asarray(array)
    if path in tables:
      first, last = map(int, tables[path].split(" to "))
      rows = params[path][first : last + 1]
      params[path] = np.concatenate(
        [given[path][:first], rows, given[path][last + 1 :]]
      )
  return traverse_util.unflatten_dict(params, sep="/")
