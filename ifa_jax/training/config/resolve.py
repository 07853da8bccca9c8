"""Settings that the machine and the pretrained encoders decide.

Pretrained encoders decide their sizes and the tokenizer, the config everything
else. A stream without a pretrained encoder takes the other's depth, width and
heads. If the architectures differ, only the text encoder is used. The dataset
decides the remaining sizes, see `training.model_inputs.sized`.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax

from ifa_jax.files.shown import shown
from ifa_jax.models import variants
from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.config import replace
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
# Settings that two streams must share to read each other, with either fusion.
_FITTING = ("hidden_dim", "num_layers", "num_heads")


def resolve(config: RunConfig, folder: RunFolder | None = None) -> RunConfig:
  """Returns the config with the dtype, sizes and tokenizer of this run.

  If a folder is given and holds a run, its dtype and its record of the encoders
  are used, so that the encoders need not exist any more.

  Raises:
    ValueError: for encoders that cannot be found or read, or if `weights` is
      missing for a model that has encoders.
  """
  begun = _read_begun(folder) if folder is not None else {}
  asked = begun["config"]["model"].get("dtype") if begun else None
  return _with_encoders(with_dtype(config, asked), begun)


def _read_begun(folder: RunFolder) -> dict[str, Any]:
  """Returns the record of a run that a folder holds, {} without one."""
  record = folder.read_json("config.json")
  if not isinstance(record, dict) or "config" not in record:
    # Claiming the folder refuses a file of another program.
    return {}
  config = record["config"]
  model = config.get("model") if isinstance(config, dict) else config
  if not isinstance(model, dict):
    raise ValueError(
      f"{folder.file('config.json')}: expected the settings of a run and its"
      f" model, got {shown(model)}"
    )
  return record


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
  """Returns a config with a dtype in the place of "auto".

  The default is float32 on a CPU, and bfloat16 on accelerators, whose matrix
  units are made for it.
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
  # A run that has begun does not need its encoders any more.
  encoders = pretrained.from_record(begun, config.weights)
  return _sized(config, encoders or pretrained.read(config.weights))


def _sized(config: RunConfig, encoders: Encoders) -> RunConfig:
  """Returns a config with the encoders' sizes and tokenizer."""
  streams = {}
  for stream, section, part in _streams(config.model, encoders.model):
    source = getattr(encoders.model, section)
    own = getattr(config.model, stream)
    if own is None or source is None:
      continue
    # A random stream keeps all settings that need not fit the other stream's.
    if part in encoders.random_parts:
      base, other, names = own, source, _FITTING
    else:
      base, other, names = source, own, _OWN
    chosen = {x: getattr(other, x) for x in names if hasattr(other, x)}
    streams[stream] = dataclasses.replace(base, **chosen)
    _log_changes(f"model.{stream}", own, streams[stream])
  data = config.data
  # An empty setting, unlike None, disables the check of the tokenizer.
  if encoders.tokenizer_sha256 and data.tokenizer_sha256 != "":
    sha256 = encoders.tokenizer_sha256
    data = dataclasses.replace(data, tokenizer_sha256=sha256)
  model = replace(config.model, **streams)
  return dataclasses.replace(config, model=model, data=data)


def _log_changes(section: str, asked: Any, found: Any) -> None:
  after = dataclasses.asdict(found)
  changed = [
    f"{name} {after[name]} (not {before})"
    for name, before in dataclasses.asdict(asked).items()
    if after[name] != before
  ]
  if changed:
    _log.info("The encoder decides %s: %s", section, ", ".join(changed))


def _streams(
  model: System, source: System
) -> list[tuple[str, str, str | None]]:
  """Returns sections of the config whose sizes the encoders decide.

  Each with the section of the encoders' config that decides, and the part of
  the parameters that is random if no encoder was converted for it; None for a
  section that always has parameters.
  """
  text = ("text", "text", "text")
  if {model.system, source.system} <= variants.OF_PIXELS:
    return [text, ("vision", "vision", "visual")]
  if model.system != source.system:
    has_stream = model.reads_caption == "stream"
    return [text, *([("caption", "text", "text")] if has_stream else [])]
  # The config decides how many objects a picture has.
  return [
    (field.name, field.name, None)
    for field in dataclasses.fields(source)
    if dataclasses.is_dataclass(getattr(source, field.name))
    and field.name != "regions"
  ]
