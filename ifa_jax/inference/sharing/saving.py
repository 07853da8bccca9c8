"""Writes a shared folder."""

import os
import shutil
from typing import Any

from ifa_jax.detection import region_encoder
from ifa_jax.files import checksums, params_file, whole
from ifa_jax.inference.sharing import card, record
from ifa_jax.inference.sharing.run_model import RunModel
from ifa_jax.inference.sharing.shared_model import SharedModel
from ifa_jax.workdir.run_folder import SCENES_FILE, VOCABULARY_FILE, RunFolder


def save(
  source: RunModel | SharedModel,
  step: int,
  folder: str | os.PathLike,
  name: str,
  license: str | None = None,
  dataset: str | None = None,
) -> None:
  """Writes a model as a folder, completely or not at all.

  Args:
    source: of the model.
    step: of its checkpoint.
    folder: new or empty.
    name: of the model in its card, by which others load it.
    license: identifier of the license; None: that of the source, if any.
    dataset: name of the training data, likewise.

  Raises:
    ValueError: if the folder is not empty, or the source is damaged.
  """
  whole.check_free(folder)
  saved = source.make_record(step)
  saved = saved._replace(
    license=license or saved.license, dataset=dataset or saved.dataset
  )
  _, params = source.load(step)
  with whole.folder(folder) as partial:
    params_file.write(os.path.join(partial, params_file.FILE), params)
    parser = _copy_inputs(source, partial)
    # Without the files written below, which their owner may edit.
    checksums.write(partial)
    record.write(partial, saved)
    text = card.render(saved, name, parser)
    RunFolder(partial).write_text(card.FILE, text)


def _copy_inputs(source: RunModel | SharedModel, target: str) -> str | None:
  """Copies the files that are needed to read a post.

  Returns:
    The dependency parser that is needed in addition, if any.
  """
  folder, model = RunFolder(source.path), source.settings.model
  shutil.copytree(folder.file("tokenizer"), os.path.join(target, "tokenizer"))
  if model.reads_words:
    shutil.copy(folder.file(VOCABULARY_FILE), target)
  manifest = folder.read_json(SCENES_FILE)
  if model.regions is None or manifest is None:
    return None
  manifest = _bring_encoder(manifest, source.path, target)
  RunFolder(target).write_json(SCENES_FILE, manifest)
  parser = manifest["parser"]
  return parser if parser.startswith("spacy") else None


def _bring_encoder(
  manifest: dict[str, Any], source: str, target: str
) -> dict[str, Any]:
  """Writes the encoder that a manifest of scenes names, if any.

  Returns:
    The manifest, with the encoder's path in the shared folder.
  """
  features = manifest["features"]
  if features is None or "folder" not in features:
    return manifest
  found = region_encoder.find(features, source)
  region_encoder.copy(found, os.path.join(target, region_encoder.FOLDER))
  placed = features | {"folder": region_encoder.FOLDER}
  return manifest | {"features": placed}
