r"""Exports a trained or converted model to DeepKE or transformers.

    python -m ifa_jax.convert export --workdir=runs/objects \
        --format=huggingface --out=exported
    python -m ifa_jax.convert export --workdir=runs/objects \
        --format=deepke --out=best_model.pth
"""

from absl import flags

from ifa_jax.convert import store, summary
from ifa_jax.convert.deepke import export_deepke
from ifa_jax.convert.huggingface.export import REST, export_huggingface
from ifa_jax.files import whole
from ifa_jax.models.config import ModelConfig
from ifa_jax.workdir.run_folder import RunFolder


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A run's folder, or converted weights.")
  flags.DEFINE_enum(
    "format", None, ("deepke", "huggingface"), "Format of the export."
  )
  flags.DEFINE_string("out", None, "DeepKE's file, or a folder for encoders.")
  flags.mark_flags_as_required(("workdir", "format", "out"))


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  is_file = values.format == "deepke"
  check = whole.check_new if is_file else whole.check_free
  check(values.out)
  config, params, info, tokenizer = load_model(values.workdir)
  if not isinstance(config, ModelConfig):
    raise ValueError(
      f"{values.workdir}: expected a model of IFAformer, got system"
      f" {config.system!r}"
    )
  if is_file:
    export_deepke(values.out, config, params)
    notes = _deepke_notes(config)
  else:
    export_huggingface(
      values.out, config, params, tokenizer, info.get("relations")
    )
    notes = [
      f"{REST} holds weights that the encoders lack, for --rest",
      "poolers and last norms, which the model does not have, are blank",
    ]
  summary.print_counts(params, f"Exported to {values.out}")
  print(*notes, sep="\n")


def load_model(folder: str) -> store.Converted:
  """Returns a run's best checkpoint, or converted weights.

  Raises:
    ValueError: if the folder holds neither, or is damaged.
  """
  if store.is_converted(folder):
    config, params, info = store.load_converted(folder)
    params.pop(store.POOLER, None)
  else:
    # Loads Orbax.
    from ifa_jax.workdir.checkpoints import Checkpoints

    run = RunFolder(folder)
    record = run.read_record()
    config = store.read_system(
      record["config"].get("model"), run.file("config.json")
    )
    with Checkpoints(run.file("checkpoints")) as checkpoints:
      params = checkpoints.restore_params(checkpoints.best_scored())
    relations = record["dataset"].get("relations")
    info = store.make_info("run") | {"relations": relations}
  tokenizer = None
  if (path := store.tokenizer_folder(folder)) is not None:
    # Loads transformers.
    from ifa_jax.data.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(path)
  return store.Converted(config, params, info, tokenizer)


def _deepke_notes(config: ModelConfig) -> list[str]:
  notes = [
    f"the file does not hold --num_heads={config.text.num_heads} and"
    f" --fusion={config.fusion}",
    "text_pooler and vision_post_layernorm, which nothing reads, are blank",
  ]
  if config.vision is not None and config.vision.num_crops != 3:
    notes.append(
      f"DeepKE's code has 3 slots for crops, this model"
      f" {config.vision.num_crops}"
    )
  return notes
