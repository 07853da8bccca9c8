"""Facts about the pretrained encoders of a run: the setting `weights`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.convert import cache, store
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import parameters, registry
from ifa_jax.models.base import System
from ifa_jax.runtime import collectives
from ifa_jax.training.config.run_config import RANDOM


class Encoders(NamedTuple):
  """The facts about pretrained encoders that decide a config.

  Attributes:
    model: the pretrained model.
    random_parts: parts of the parameters that no encoder brought, e.g.
      ["visual"].
    tokenizer_sha256: of the text encoder's tokenizer, or None.
    sources: side -> name, and sha256 of each file, as the conversion recorded
      them.
  """

  model: System
  random_parts: Sequence[str]
  tokenizer_sha256: str | None
  sources: Mapping[str, Any]


def read(weights: str) -> Encoders:
  """Returns the facts about the encoders that a setting names.

  Raises:
    ValueError: for encoders that cannot be found or read.
  """
  folder = cache.locate(weights)
  config = store.load_config(folder)
  provenance = store.load_provenance(folder)
  initialised = {*provenance.get("initialised", ())}
  paths = parameters.param_shapes(config)
  parts = {path.split("/")[0] for path in paths}
  random_parts = [
    part
    for part in sorted(parts)
    if {path for path in paths if path.startswith(f"{part}/")} <= initialised
  ]
  tokenizer = store.tokenizer_folder(folder)
  sha256 = Tokenizer.load(tokenizer).sha256 if tokenizer else None
  return Encoders(
    config,
    random_parts,
    sha256,
    provenance.get("sources", {}),
  )


def record(weights: str | None) -> dict[str, Any] | None:
  """Returns what a run records of the encoders it begins from, plain values."""
  if weights in (None, RANDOM):
    return None
  found = read(weights)
  return found._asdict() | {"model": registry.to_dict(found.model)}


def check_same_everywhere(weights: str) -> None:
  """Checks that all processes of a run found the same encoders.

  Raises:
    ValueError: on every process, if the files of one differ from the first's.
  """
  if collectives.count() == 1:
    return
  files = {side: x["files"] for side, x in read(weights).sources.items()}
  described = json.dumps(files, sort_keys=True)
  digest = hashlib.sha256(described.encode()).hexdigest()
  first, *others = collectives.gather_texts(digest)
  for number, other in enumerate(others, start=1):
    if other != first:
      raise ValueError(
        "config.weights: expected the same encoders on every process, got"
        f" other files on process {number} than on process 0"
      )


def from_record(record: Mapping[str, Any], weights: str) -> Encoders | None:
  """Returns the facts that a run recorded when it began from these weights.

  Args:
    record: the run's `config.json`; empty for a run that has not begun.
    weights: the setting; other encoders than the run's give None.
  """
  found = record.get("pretrained")
  if not found or record["config"]["weights"] != weights:
    return None
  model = registry.from_dict(found["model"])
  return Encoders(*map(found.get, Encoders._fields))._replace(model=model)
