"""The prepared dataset that a config needs, and the command that makes it."""

import dataclasses
import os
import pathlib
import shlex
import sys
import types
from collections.abc import Mapping
from typing import Any

from ifa_jax.convert import cache, sources, store
from ifa_jax.training.config.run_config import RANDOM, RunConfig

TOKENIZER = "bert-base-uncased"
# Sizes of a picture that a model with a vision stream decides.
_SIZES = ("image_size", "patch_size", "num_crops", "resize")


def of_config(config: RunConfig) -> dict[str, Any]:
  """Returns the settings of `data_prep.mnre` that a resolved config decides."""
  settings = {
    "data_dir": config.data.data_dir,
    "protocol": config.data.protocol,
    "tokenizer": tokenizer(config),
    "text_len": config.data.text_len,
  }
  if config.model.reads_caption:
    settings["caption_len"] = config.data.caption_len
  if not config.model.picture_slots:
    return settings
  return settings | {x: getattr(config.model.vision, x) for x in _SIZES}


def tokenizer(config: RunConfig) -> str:
  """Returns the hub id or folder of the tokenizer that a config reads.

  That of the pretrained text encoder, or `data.tokenizer` for random weights;
  BERT's if there is none.
  """
  weights = config.weights
  if weights in (None, RANDOM):
    return config.data.tokenizer or TOKENIZER
  if encoders := cache.parse(weights):
    encoder = encoders.get("text", TOKENIZER)
    if os.path.isdir(encoder) and not sources.find(encoder).has_tokenizer:
      return TOKENIZER
    return encoder
  return store.tokenizer_folder(weights) or TOKENIZER


def command(
  config: RunConfig, before: Mapping[str, Any] = types.MappingProxyType({})
) -> str:
  """Returns the command line that prepares the dataset of a config.

  Args:
    config: a resolved config.
    before: metadata of a dataset that was prepared from the same files.
  """
  # Only errors need it, and it loads much.
  from ifa_jax.preparation.mnre.plan import Settings

  defaults = {
    field.name: field.default for field in dataclasses.fields(Settings)
  }
  given = {
    name: value
    for name, value in of_config(config).items()
    if defaults.get(name) != value or name == "tokenizer"
  }
  given |= _inputs(config, before)
  flags = [f"--{name}={shlex.quote(str(v))}" for name, v in given.items()]
  # A wheel has no folder data_prep, and console scripts run in any folder.
  root = pathlib.Path(__file__).parents[3]
  by_script = os.path.basename(sys.argv[0]).startswith("ifa-")
  in_checkout = (root / "data_prep").is_dir() and not by_script
  program = "python -m data_prep.mnre" if in_checkout else "ifa-prepare mnre"
  return " ".join([program, "--raw_dir=DATA", *flags])


def _inputs(config: RunConfig, before: Mapping[str, Any]) -> dict[str, str]:
  """Returns the flags of the files to read, as before where that is known."""
  given = {}
  form = before.get("format", {"name": "mnre"})
  if form["name"] != "mnre":
    given["format"] = form["name"]
  # Files of the splits, or the shares of rows: lists, as their flags take them.
  lists = {name: x for name, x in form.items() if isinstance(x, list)}
  given |= {name: ",".join(map(str, x)) for name, x in lists.items() if x}
  pixels = before.get("missing_pixels", "error")
  if pixels != "error":
    given["missing_pixels"] = pixels
  if config.data.protocol == "clean" and before.get("boxes", True):
    given["boxes"] = "boxes.json"
  # Captions without files are those of the rows.
  stored = before.get("captions")
  if config.model.reads_caption and (stored is None or stored["sha256"]):
    given["captions"] = "captions.json"
  return given
