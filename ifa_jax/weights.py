"""Starts a run from converted weights: the setting `weights`.

The folder that `python -m ifa_jax.convert` wrote decides the encoders' sizes
and the tokenizer; the config decides all else: what the model looks at, how the
streams exchange, rates of dropout, relations. A stream that conversion left out
takes the other's depth, width and heads; its other sizes are the config's too.
A run of another system than the folder's takes the text encoder alone, and one
without an encoder nothing.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from ifa_jax.convert import converted, summary
from ifa_jax.data.tokenization import Tokenizer
from ifa_jax.models import parameters, settings
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.system import System

_log = logging.getLogger("ifa_jax")

# Settings of a stream that pretraining does not fix.
_OWN = ("dropout_rate", "attention_dropout_rate", "crop_position_stddev")
# Parts of a model that any system may take from another: BERT, and its pooler.
_SHARED = ("text", "pooler")
# Settings that two streams share to read each other, with either fusion.
_FITTING = ("hidden_dim", "num_layers", "num_heads")


def resolve(config: Mapping[str, Any]) -> Mapping[str, Any]:
  """Returns the config with sizes and tokenizer of its `weights`, if any.

  Raises:
    ValueError: if the folder holds no converted weights.
  """
  folder = config["weights"]
  if not folder:
    return config
  if config["model"].get("text") is None:
    system = config["model"]["system"]
    _log.info("%s has no encoder: it does not start from %s", system, folder)
    return {**config, "weights": None}
  source_config = converted.load_config(folder)
  source = settings.to_dict(source_config)
  initialised = converted.load_provenance(folder).get("initialised", ())
  model, data = dict(config["model"]), dict(config["data"])
  for stream, part in _streams(model, source):
    if model.get(stream) is None or source.get(stream) is None:
      continue
    own = model[stream]
    if part and _is_fresh(part, source_config, initialised):
      own = {key: own[key] for key in own if key not in _FITTING}
    else:
      own = {key: own[key] for key in _OWN if key in own}
    model[stream] = source[stream] | own
  tokenizer = os.path.join(folder, "tokenizer")
  if os.path.isdir(tokenizer):
    data["tokenizer_sha256"] = Tokenizer.load(tokenizer).sha256
  return {**config, "model": model, "data": data}


def _streams(
  model: Mapping[str, Any], source: Mapping[str, Any]
) -> list[tuple[str, str | None]]:
  """Returns sections of the config whose sizes the folder decides.

  Each with the part of the parameters by which to tell whether conversion
  brought anything of it; None: it did.
  """
  system = model.get("system", ModelConfig.system)
  if system != source["system"]:
    return [("text", "text")]
  if system == ModelConfig.system:
    return [("text", "text"), ("vision", "visual")]
  named = [name for name, value in source.items() if isinstance(value, Mapping)]
  # How many objects a picture has is the run's.
  return [(name, None) for name in named if name != "regions"]


def _is_fresh(part: str, config: System, initialised: Sequence[str]) -> bool:
  """Tells whether conversion brought nothing of a stream."""
  paths = parameters.param_shapes(config)
  return {p for p in paths if p.startswith(f"{part}/")} <= {*initialised}


def start_params(
  folder: str,
  shapes: Mapping[str, Any],
  draw: Callable[[Sequence[str]], Mapping[str, jax.Array]],
  system: str = ModelConfig.system,
) -> dict[str, Any]:
  """Returns a run's first parameters: converted ones, else its own fresh ones.

  Args:
    folder: of converted weights.
    shapes: of the run's parameters, in their structure.
    draw: gives fresh parameters of some paths. What conversion had to
      initialise is drawn, so that it follows the run's seed, and a relation
      head for another set of relations too, and all that the folder's system
      has not.
    system: of the run.

  Raises:
    ValueError: for parameters that the folder does not give or gives in another
      shape; all are named.
  """
  source, given, info = converted.load_converted(folder)
  given = traverse_util.flatten_dict(given, sep="/")
  own = set(info.get("initialised", ()))
  parts = {path.split("/")[0] for path in given}
  if source.system != system:
    parts &= {*_SHARED}
  params, started, problems = {}, [], []
  for path, wanted in traverse_util.flatten_dict(shapes, sep="/").items():
    part = path.split("/")[0]
    found = given.get(path) if part in parts else None
    fits = found is not None and found.shape == wanted.shape
    if fits and path not in own:
      params[path] = found
    elif path in own or part not in parts or part == "relation_head":
      started.append(path)
    else:
      shape = None if found is None else found.shape
      problems.append(f"{path}: want {wanted.shape}, found {shape}")
  if problems:
    raise ValueError("\n  ".join([f"{folder}: weights do not fit", *problems]))
  if not params:
    raise ValueError(
      f"{folder}: want weights of some use to {system}, found those of"
      f" {source.system}"
    )
  listed = "; ".join(summary.listed_by_part(started)) or "nothing"
  _log.info("Starting from %s, fresh: %s", folder, listed)
  params |= {path: np.asarray(leaf) for path, leaf in draw(started).items()}
  return traverse_util.unflatten_dict(params, sep="/")
