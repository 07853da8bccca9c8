"""Settings that the machine and the pretrained encoders decide.

A config may leave the dtype open and name encoders whose sizes win over its
own. `resolve` decides both, once, before anything is built; only the sizes that
the dataset decides are left, see `training.model_inputs.sized`.

The pretrained encoders decide their sizes and the tokenizer; the config decides
all else: what the model looks at, how the streams exchange, dropout rates,
relations. A stream that has no pretrained encoder takes the other's depth,
width and heads. A system other than the pretrained one takes the text encoder
alone.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.config import ModelConfig, replace
from ifa_jax.training import pretrained
from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.training.pretrained import Encoders
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


def resolve(config: RunConfig, folder: RunFolder | None = None) -> RunConfig:
  """Returns the config with the dtype, sizes and tokenizer of this run.

  Args:
    config: as a config file has it.
    folder: of a run that may have begun. Its own dtype wins over the device's;
      what it recorded of its encoders is used, so they need not be there.

  Raises:
    ValueError: for encoders that cannot be found or read, or if `weights` is
      missing for a model that has encoders.
  """
  begun = folder.read_json("config.json") if folder is not None else None
  begun = begun if isinstance(begun, dict) else {}
  asked = begun.get("config", {}).get("model", {}).get("dtype")
  return _with_encoders(with_dtype(config, asked), begun)


def check_resolved(config: RunConfig) -> None:
  """Raises ValueError unless `resolve` has decided a config's settings."""
  if config.model.dtype == AUTO_DTYPE:
    raise ValueError("model.dtype: expected a resolved dtype, got 'auto'")
  if (config.weights is None) != (config.model.text is None):
    raise ValueError(
      f"weights: expected encoders for a model that has some, got"
      f" {config.weights!r} for {config.model.system}"
    )


def with_dtype(config: RunConfig, dtype: str | None = None) -> RunConfig:
  """Returns the config with a dtype in the place of "auto".

  Args:
    config: as a config file has it.
    dtype: None: the one that suits this process's devices, which is bfloat16 on
      accelerators, whose matrix units are made for it.
  """
  if config.model.dtype != AUTO_DTYPE:
    return config
  on_cpu = jax.default_backend() == "cpu"
  default = "float32" if on_cpu else "bfloat16"
  model = replace(config.model, dtype=dtype or default)
  return dataclasses.replace(config, model=model)


def _with_encoders(config: RunConfig, begun: Mapping[str, Any]) -> RunConfig:
  if config.model.text is None:
    return dataclasses.replace(config, weights=None)
  if config.weights is None:
    raise ValueError(
      "config.weights: expected encoders such as text=bert-base-uncased, a"
      " folder of converted weights, or random, got None"
    )
  if config.weights == RANDOM:
    return config
  encoders = pretrained.from_record(begun, config.weights)
  return _sized(config, encoders or pretrained.read(config.weights))


def _sized(config: RunConfig, encoders: Encoders) -> RunConfig:
  """Returns a config with the encoders' sizes and tokenizer."""
  streams = {}
  for stream, part in _streams(config.model, encoders.model):
    source = getattr(encoders.model, stream)
    own = getattr(config.model, stream)
    if own is None or source is None:
      continue
    if part in encoders.random_parts:
      streams[stream] = _with_fields(own, source, _FITTING)
    else:
      streams[stream] = _with_fields(source, own, _OWN)
    _log_changes(f"model.{stream}", own, streams[stream])
  data = config.data
  # Nothing but an empty text asks for no check of the tokenizer.
  if encoders.tokenizer_sha256 and data.tokenizer_sha256 != "":
    sha256 = encoders.tokenizer_sha256
    data = dataclasses.replace(data, tokenizer_sha256=sha256)
  model = replace(config.model, **streams)
  return dataclasses.replace(config, model=model, data=data)


def _with_fields(settings: Any, source: Any, names: Sequence[str]) -> Any:
  """Returns a dataclass with some fields of another, where it has them."""
  fields = {
    name: getattr(source, name) for name in names if hasattr(source, name)
  }
  return dataclasses.replace(settings, **fields)


def _log_changes(section: str, asked: Any, found: Any) -> None:
  changed = [
    f"{field.name} {getattr(found, field.name)}"
    f" (not {getattr(asked, field.name)})"
    for field in dataclasses.fields(asked)
    if getattr(found, field.name) != getattr(asked, field.name)
  ]
  if changed:
    _log.info("The encoder decides %s: %s", section, ", ".join(changed))


def _streams(model: System, source: System) -> list[tuple[str, str | None]]:
  """Returns sections of the config whose sizes the encoders decide.

  Each with the part of the parameters that is random if no encoder was
  converted for it; None for a section that always brings parameters.
  """
  if model.system != source.system:
    return [("text", "text")]
  if model.system == ModelConfig.system:
    return [("text", "text"), ("vision", "visual")]
  # How many objects a picture has is the run's.
  return [
    (field.name, None)
    for field in dataclasses.fields(source)
    if dataclasses.is_dataclass(getattr(source, field.name))
    and field.name != "regions"
  ]
