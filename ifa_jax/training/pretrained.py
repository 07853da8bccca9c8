"""Starts a run from pretrained weights: the setting `weights`.

`weights` names encoders or a folder, see `ifa_jax.convert.cache`; `random` is
the only way to train encoders from random values. The pretrained encoders
decide their sizes and the tokenizer; the config decides all else: what the
model looks at, how the streams exchange, dropout rates, relations. A stream
that has no pretrained encoder takes the other's depth, width and heads. A
system other than the pretrained one takes the text encoder alone.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.convert import cache, store
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import config_dict, parameters
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime import collectives
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")

# Settings of a stream that pretraining does not fix.
_OWN = (
  "dropout_rate",
  "attention_dropout_rate",
  "crop_position_stddev",
  "num_crops",
)
# Settings that two streams share to read each other, with either fusion.
_FITTING = ("hidden_dim", "num_layers", "num_heads")


class Encoders(NamedTuple):
  """The facts about pretrained encoders that decide a config.

  Attributes:
    model: their model's settings, plain values.
    random_parts: parts of the parameters that no encoder brought, e.g.
      ["visual"].
    tokenizer_sha256: of the text encoder's tokenizer, or None.
    sources: side -> name, and sha256 of each file, as the conversion recorded
      them.
  """

  model: Mapping[str, Any]
  random_parts: Sequence[str]
  tokenizer_sha256: str | None
  sources: Mapping[str, Any]


def resolve(
  config: Mapping[str, Any], folder: RunFolder | None = None
) -> Mapping[str, Any]:
  """Returns the config with the sizes and the tokenizer of its `weights`.

  Args:
    config: nested plain values.
    folder: of a run that may have begun. One that began from these weights
      recorded what it needs of them, so they need not be there to resume.

  Raises:
    ValueError: for encoders that cannot be found or read, or if the setting is
      missing for a model that has encoders.
  """
  if config["model"].get("text") is None:
    return {**config, "weights": None}
  if config["weights"] is None:
    raise ValueError(
      "config.weights: expected encoders such as text=bert-base-uncased, a"
      " folder of converted weights, or random, got None"
    )
  if config["weights"] == cache.RANDOM:
    return config
  encoders = read_record(folder, config["weights"]) or read(config["weights"])
  return _sized(config, encoders)


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
    config_dict.to_dict(config),
    random_parts,
    sha256,
    provenance.get("sources", {}),
  )


def record(weights: str | None) -> dict[str, Any] | None:
  """Returns what a run records of the encoders it begins from, plain values."""
  if weights in (None, cache.RANDOM):
    return None
  return read(weights)._asdict()


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


def read_record(folder: RunFolder | None, weights: str) -> Encoders | None:
  """Returns the facts that a run recorded when it began from these weights."""
  record = folder.read_json("config.json") if folder is not None else None
  if not isinstance(record, dict) or not record.get("pretrained"):
    return None
  if record["config"]["weights"] != weights:
    return None
  return Encoders(*map(record["pretrained"].get, Encoders._fields))


def _sized(config: Mapping[str, Any], encoders: Encoders) -> Mapping[str, Any]:
  model, data = dict(config["model"]), dict(config["data"])
  for stream, part in _streams(model, encoders.model):
    source = encoders.model.get(stream)
    if model.get(stream) is None or source is None:
      continue
    own = model[stream]
    if part in encoders.random_parts:
      own = {key: own[key] for key in own if key not in _FITTING}
    else:
      own = {key: own[key] for key in _OWN if key in own}
    model[stream] = source | own
    _log_changes(f"model.{stream}", config["model"][stream], model[stream])
  # Nothing but an empty text asks for no check of the tokenizer.
  if encoders.tokenizer_sha256 and data["tokenizer_sha256"] != "":
    data["tokenizer_sha256"] = encoders.tokenizer_sha256
  return {**config, "model": model, "data": data}


def _log_changes(
  section: str, asked: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
  changed = [
    f"{name} {found[name]} (not {asked[name]})"
    for name in asked
    if found.get(name) != asked[name]
  ]
  if changed:
    _log.info("The encoder decides %s: %s", section, ", ".join(changed))


def _streams(
  model: Mapping[str, Any], source: Mapping[str, Any]
) -> list[tuple[str, str | None]]:
  """Returns sections of the config whose sizes the encoders decide.

  Each with the part of the parameters that is random if no encoder was
  converted for it; None for a section that always brings parameters.
  """
  system = model.get("system", ModelConfig.system)
  if system != source["system"]:
    return [("text", "text")]
  if system == ModelConfig.system:
    return [("text", "text"), ("vision", "visual")]
  named = [name for name, value in source.items() if isinstance(value, Mapping)]
  # How many objects a picture has is the run's.
  return [(name, None) for name in named if name != "regions"]
