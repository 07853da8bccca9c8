r"""Writes a caption of every picture of a tree or of a folder.

    python -m data_prep.captions --raw_dir=data --captions=captions.json \
        --model=Salesforce/blip-image-captioning-base

The model is any of transformers for image-text-to-text; chat models need
`--prompt` ("Describe the image in one sentence."). The file has one JSON
object, {picture's file name: caption}, sorted by name. Only the name of a row's
picture is read, so captions cannot depend on a relation. PyTorch is needed: the
extra `objects`.

The same command continues an interrupted run, and describes pictures that were
added or could not be read; all others are in CAPTIONS.journal.jsonl. With
--ray, batches are described in parallel; see docs/scale.md.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import dataclasses
from collections.abc import Sequence

from absl import flags

from ifa_jax.cli import app, settings_flags
from ifa_jax.cli.settings_flags import setting
from ifa_jax.cluster import connection
from ifa_jax.data.formats import registry
from ifa_jax.detection import captioner
from ifa_jax.preparation import counts
from ifa_jax.preparation.per_picture import pictures, reading, work
from ifa_jax.preparation.per_picture.pictures import Wanted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(work.Settings):
  """The flags of `data_prep.captions`."""

  raw_dir: str | None = setting(
    "The folder of a dataset (MNRE: DeepKE's data/).", None
  )
  format: str = setting(
    "Format of the dataset.", "mnre", choices=registry.OF_FOLDER
  )
  images: str | None = setting("A folder of pictures, instead.", None)
  captions: str = setting("File to write, JSON.")
  model: str = setting("Folder or hub id of a model.")
  prompt: str | None = setting(
    "Text before the caption, or the question to a chat model.", None
  )
  max_tokens: int = setting(
    "Maximum tokens of a caption.", captioner.MAX_TOKENS, least=1
  )
  dtype: str = setting(
    "Data type of the weights.", captioner.DTYPES[0], choices=captioner.DTYPES
  )


def produce(settings: Settings, ray: str | None = None) -> dict[str, int]:
  """Writes the captions, see `per_picture.work.produce`.

  Returns:
    Counts, as the command shows them.

  Raises:
    ValueError: for anything wrong with pictures, model or journal.
  """
  wanted, num_missing = _find_pictures(settings)

  def load() -> reading.Work:
    model = captioner.Captioner(
      settings.model,
      prompt=settings.prompt or None,
      max_tokens=settings.max_tokens,
      dtype=settings.dtype,
      batch_size=settings.batch_size,
      device=settings.device,
    )
    return reading.Work(
      "caption",
      lambda opened, _: model.caption(opened),
      model.batch_size,
      model.settings(),
    )

  done = work.produce(wanted, settings.captions, load, ray)
  return {
    "pictures": len(done.entries) + num_missing,
    "without a file": num_missing,
    "unreadable": len(done.entries) - len(done.read),
    "described before": len(done.entries) - done.num_new,
    "described now": done.num_new,
    "empty captions": sum(not entry["caption"] for entry in done.read),
    "words": sum(len(entry["caption"].split()) for entry in done.read),
  }


def _find_pictures(settings: Settings) -> tuple[list[Wanted], int]:
  """Returns the pictures by name, and the number of those without a file."""
  if bool(settings.raw_dir) == bool(settings.images):
    raise ValueError(
      "expected one of --raw_dir and --images, got"
      f" {'both' if settings.images else 'neither'}"
    )
  if settings.images:
    return pictures.read_folder(settings.images)[: settings.limit], 0
  wanted, num_missing = pictures.read_tree(
    settings.raw_dir or "",
    settings.limit,
    settings.on_error,
    settings.format,
  )
  return [picture._replace(names=()) for picture in sorted(wanted)], num_missing


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  settings_flags.define(Settings)
  connection.define_flag()


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  settings = app.read_settings(Settings)
  found = produce(settings, flags.FLAGS.ray)
  counts.show("Captions", {"": found}, settings.captions)
