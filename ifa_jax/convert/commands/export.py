r"""Takes a trained or converted model back to DeepKE or transformers.

    python -m ifa_jax.convert export --workdir=runs/objects \
        --format=huggingface --out=exported
    python -m ifa_jax.convert export --workdir=runs/objects \
        --format=deepke --out=best_model.pth
"""

import os
from typing import Any

from absl import flags

from ifa_jax.convert import pooler, summary
from ifa_jax.convert.deepke_export import export_deepke
from ifa_jax.convert.huggingface.export import export_huggingface
from ifa_jax.convert.huggingface.leftover_weights import FILE
from ifa_jax.convert.store import (
  Converted,
  is_converted,
  load_converted,
  make_info,
)
from ifa_jax.files import whole
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.workdir.run_folder import RunFolder


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A run's folder, or converted weights.")
  flags.DEFINE_enum("format", None, ("deepke", "huggingface"), "Of what kind.")
  flags.DEFINE_string("out", None, "DeepKE's file, or a folder for encoders.")
  flags.mark_flags_as_required(("workdir", "format", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  whole.check_free(values.out)
  model = load_model(values.workdir)
  config, params = model.model_config, model.params
  if not isinstance(config, ModelConfig):
    raise ValueError(
      f"{values.workdir}: want IFAformer to export, found system"
      f" {config.system!r}"
    )
  if values.format == "deepke":
    export_deepke(values.out, config, params)
  else:
    relations = model.info.get("relations")
    export_huggingface(values.out, config, params, model.tokenizer, relations)
  summary.print_counts(params, f"Exported to {values.out}")
  print("\n".join(_notes(values.format, config)))


def load_model(folder: str) -> Converted:
  """Returns a run's best checkpoint, or converted weights.

  Raises:
    ValueError: for a folder that holds neither.
  """
  if is_converted(folder):
    config, params, info = load_converted(folder)
    params = pooler.without(params)
  else:
    config, params, relations = _load_run(RunFolder(folder))
    info = make_info("run") | {"relations": relations}
  return Converted(config, params, info, _load_tokenizer(folder))


def _load_run(folder: RunFolder) -> tuple[System, Any, list[str] | None]:
  # Loads Orbax.
  from ifa_jax.workdir.checkpoints import Checkpoints

  record = folder.read_record()
  config = registry.from_dict(record["config"]["model"])
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    params = checkpoints.restore_params(checkpoints.best_scored())
  return config, params, record["dataset"].get("relations")


def _load_tokenizer(folder: str) -> Any:
  path = os.path.join(folder, "tokenizer")
  if not os.path.isdir(path):
    return None
  # Loads transformers.
  from ifa_jax.data.text.tokenizer import Tokenizer

  return Tokenizer.load(path)


def _notes(kind: str, config: ModelConfig) -> list[str]:
  """Returns what a reader of the export should know."""
  if kind == "huggingface":
    return [
      f"{FILE} holds what the encoders have no place for, for --rest",
      "poolers and last norms, which the model does not have, start fresh",
    ]
  notes = [
    f"the file does not tell --num_heads={config.text.num_heads} and"
    f" --fusion={config.fusion}",
    "text_pooler and vision_post_layernorm, which nothing reads, start fresh",
  ]
  if config.vision is not None and config.vision.num_crops != 3:
    notes.append(
      f"DeepKE's code has 3 slots for crops, this model"
      f" {config.vision.num_crops}"
    )
  return notes
