"""The model card of a shared folder, in the Hugging Face Hub's format."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2

from ifa_jax.cli.tables import percent
from ifa_jax.inference.sharing.record import LIBRARY, Record
from ifa_jax.models import parameters, variants
from ifa_jax.models.base import System
from ifa_jax.statistics.bootstrap import SCORES

FILE = "README.md"

# By rows of the paper's Table 2, see `variants`.
_TITLES = {
  "objects": "IFAformer, whose text and visual streams exchange keys and"
  " values",
  "vanilla": "IFAformer without objects",
  "no_text_attention": "IFAformer whose visual stream does not read the text",
  "text": "The text stream of IFAformer (BERT)",
  "ifaformer_caption": "IFAformer whose second stream reads the picture's"
  " caption",
  "pcnn": "PCNN",
  "bert": "BERT, classified by its pooled [CLS] state",
  "mtb": "BERT, classified by the states of both entity markers (MTB)",
  "caption": "BERT on the text and the picture's caption (MTB)",
  "bert_sg": "BERT+SG, a text and the sum of its picture's objects",
  "bert_sg_att": "BERT+SG+Att., whose objects attend to the text",
  "vilbert": "ViLBERT, two streams with co-attention",
  "mega": "MEGA, by its equations",
  "mega_released": "MEGA, as its code was released",
  "mkgformer": "MKGformer",
  "mkgformer_released": "MKGformer, as its code was released",
  "hvformer": "HVFormer, as its code was released",
  "hvpnet": "HVPNeT",
  "hvpnet_released": "HVPNeT, as its code was released",
}
_TAGS = ("jax", "flax", "relation-extraction")
_MULTIMODAL = "multimodal-relation-extraction"
_TASK = "relation-extraction"
_KINDS = ("pictures", "grounded", "detected")
_SPLITS = {"train": "train", "val": "dev", "test": "test"}


def render(record: Record, name: str, parser: str | None = None) -> str:
  """Returns a model card.

  Args:
    record: of the model.
    name: a hub id or a folder, by which it can be loaded.
    parser: of sentences, which the model needs and the folder lacks.

  Raises:
    ValueError: if the record's training section is not that of a run.
  """
  templates = jinja2.Environment(
    loader=jinja2.PackageLoader("ifa_jax.inference.sharing", "."),
    # The hub sanitises the Markdown when it renders it.
    autoescape=jinja2.select_autoescape(("html",)),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  try:
    return templates.get_template("card.md.j2").render(
      name=name,
      parser=parser,
      metadata=_front_matter(record, name),
      **_model(record),
      **_scores(record),
      **_training(record),
    )
  except (KeyError, TypeError, AttributeError, jinja2.UndefinedError) as error:
    raise ValueError(
      f"config.json: expected the training record and scores of a run, got"
      f" others ({error})"
    ) from None


def _model(record: Record) -> dict[str, Any]:
  settings = record.settings
  model = settings.model
  fields = {field for field, _, _ in model.picture_slots}
  return {
    "model": model,
    "title": _TITLES.get(row := variants.name_of(model), row),
    "reads": _reads(model),
    "fusion": getattr(model, "fusion", None),
    "num_params": f"{parameters.count_params(model):,}",
    "relations": settings.relations,
    "protocol": settings.protocol,
    "text_len": settings.data.text_len,
    "step": record.step,
    "sees_pictures": model.sees_pictures,
    "trained_with": settings.trained_with,
    "reads_grounded": "grounded" in fields,
  }


def _reads(model: System) -> str:
  """Lists the inputs of the model in words."""
  fields = {field for field, _, _ in model.picture_slots}
  parts = ["the text"]
  if "image" in fields:
    parts.append("the whole picture")
  if model.regions is not None or fields - {"image"}:
    parts.append("objects in the picture")
  if model.reads_caption:
    parts.append("the picture's caption")
  *first, last = parts
  return f"{', '.join(first)} and {last}" if first else f"only {last}"


def _scores(record: Record) -> dict[str, Any]:
  sources = {scores.get("visual_source") for scores in record.scores.values()}
  return {
    "scores": [
      [split, scores["n"], *(_interval(*scores[key]) for key in SCORES)]
      for split, scores in record.scores.items()
    ],
    "visual_sources": sorted(sources - {None}),
  }


def _interval(value: float, low: float, high: float) -> str:
  return f"{percent(value)} [{percent(low)}, {percent(high)}]"


def _training(record: Record) -> dict[str, Any]:
  training, data = record.training, record.training["dataset"]
  versions = training["versions"]
  counts = list(_counts(data))
  return {
    "shuffle_seed": training["config"]["data"].get("visual_shuffle_seed"),
    "config": json.dumps(training["config"], indent=2),
    "command": training.get("command"),
    "start": training.get("start", []),
    "commit": training["git_commit"],
    "versions": ", ".join(f"{name} {versions[name]}" for name in versions),
    "dataset": record.dataset or "Posts in the format of MNRE",
    "counts": counts,
    "limit": data["limit"],
    "has_grey": any("grey" in str(cell) for row in counts for cell in row),
  }


def _counts(data: Mapping[str, Any]) -> Iterator[list[Any]]:
  """Yields the numbers of rows and pictures of each split."""
  for split, name in _SPLITS.items():
    counts = data["counts"][split]
    yield [name, counts["rows"], *(_pixels(data, counts, k) for k in _KINDS)]


def _pixels(
  data: Mapping[str, Any], counts: Mapping[str, int], kind: str
) -> int | str:
  """Returns the number of pictures or crops, with grey ones separate."""
  missing = counts[f"missing_{kind}"]
  if data["missing_pixels"] != "grey" or not missing:
    return counts[kind]
  return f"{counts[kind]} + {missing} grey"


def _front_matter(record: Record, name: str) -> str:
  """Returns YAML by which the hub lists and compares models."""
  import huggingface_hub

  model = record.settings.model
  seen = (_MULTIMODAL,) if model.sees_pictures else ()
  data = huggingface_hub.ModelCardData(
    library_name=LIBRARY,
    license=record.license,
    tags=[*_TAGS, *seen, model.system, f"protocol-{record.settings.protocol}"],
    metrics=[*SCORES] if record.scores else None,
    model_name=name if record.scores else None,
    eval_results=[*_results(record)] or None,
  )
  return data.to_yaml()


def _results(record: Record) -> Iterator[Any]:
  """Yields a model-index entry for each score of each split."""
  import huggingface_hub

  protocol = record.settings.protocol
  dataset = record.dataset or "posts in the format of MNRE"
  for split, scores in record.scores.items():
    for metric in SCORES:
      yield huggingface_hub.EvalResult(
        task_type=_TASK,
        task_name=_TASK.replace("-", " ").capitalize(),
        dataset_type="-".join(dataset.lower().split()),
        # Tables on the hub show only the name, not the config.
        dataset_name=f"{dataset} (protocol {protocol})",
        dataset_config=protocol,
        dataset_split={"dev": "validation"}.get(split, split),
        metric_type=metric,
        metric_value=round(scores[metric][0], 4),
      )
