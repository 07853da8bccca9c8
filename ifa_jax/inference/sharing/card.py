"""The model card of a shared folder, in the Hugging Face Hub's format."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2

from ifa_jax.cli.tables import percent
from ifa_jax.cli.templates import templates
from ifa_jax.inference import seen_kinds
from ifa_jax.inference.sharing.record import LIBRARY, Record
from ifa_jax.models import parameters, variants
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
  template = templates("ifa_jax.inference.sharing").get_template("card.md.j2")
  model = record.settings.model
  try:
    return template.render(
      vars(record.settings),
      name=name,
      parser=parser,
      record=record,
      training=record.training,
      metadata=_front_matter(record, name),
      title=_TITLES.get(row := variants.name_of(model), row),
      reads=seen_kinds.in_words(model, record.settings.trained_with),
      num_params=f"{parameters.count_params(model):,}",
      scores=[
        [split, scores["n"], *(_interval(*scores[key]) for key in SCORES)]
        for split, scores in record.scores.items()
      ],
      counts=[*_counts(record.training["dataset"])],
      config=json.dumps(record.training["config"], indent=2),
    )
  except (KeyError, TypeError, AttributeError, jinja2.UndefinedError) as error:
    raise ValueError(
      f"config.json: expected the training record and scores of a run, got"
      f" others ({error})"
    ) from None


def _interval(value: float, low: float, high: float) -> str:
  return f"{percent(value)} [{percent(low)}, {percent(high)}]"


def _counts(data: Mapping[str, Any]) -> Iterator[list[Any]]:
  """Yields the numbers of rows, pictures and crops of each split."""
  for split, name in _SPLITS.items():
    counts = data["counts"][split]
    cells = [name, counts["rows"]]
    for kind in _KINDS:
      grey = data["missing_pixels"] == "grey" and counts[f"missing_{kind}"]
      cells.append(f"{counts[kind]} + {grey} grey" if grey else counts[kind])
    yield cells


def _front_matter(record: Record, name: str) -> str:
  """Returns YAML by which the hub lists and compares models."""
  import huggingface_hub

  model, protocol = record.settings.model, record.settings.protocol
  dataset = record.dataset or "posts in the format of MNRE"
  results = [
    huggingface_hub.EvalResult(
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
    for split, scores in record.scores.items()
    for metric in SCORES
  ]
  seen = (_MULTIMODAL,) if model.sees_pictures else ()
  return huggingface_hub.ModelCardData(
    library_name=LIBRARY,
    license=record.license,
    tags=[*_TAGS, *seen, model.system, f"protocol-{protocol}"],
    metrics=[*SCORES] if results else None,
    model_name=name if results else None,
    eval_results=results or None,
  ).to_yaml()
