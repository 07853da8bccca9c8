"""The front matter of a model card, by which the hub lists and compares."""

from collections.abc import Iterator
from typing import Any

from ifa_jax.inference.sharing.record import LIBRARY, Record
from ifa_jax.statistics.bootstrap import SCORES

_TAGS = ("jax", "flax", "relation-extraction")
_MULTIMODAL = "multimodal-relation-extraction"
_TASK = "relation-extraction"


def front_matter(record: Record, name: str) -> str:
  """Returns YAML with the library, the license, tags and the scores.

  Args:
    record: of the model.
    name: of the model.
  """
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
  """Yields an entry of the model-index for each score of each split."""
  import huggingface_hub

  protocol = record.settings.protocol
  dataset = record.dataset or "posts in the format of MNRE"
  for split, scores in record.scores.items():
    for metric in SCORES:
      yield huggingface_hub.EvalResult(
        task_type=_TASK,
        task_name=_TASK.replace("-", " ").capitalize(),
        dataset_type="-".join(dataset.lower().split()),
        # Tables on the hub show the name and not the config.
        dataset_name=f"{dataset} (protocol {protocol})",
        dataset_config=protocol,
        dataset_split={"dev": "validation"}.get(split, split),
        metric_type=metric,
        metric_value=round(scores[metric][0], 4),
      )
