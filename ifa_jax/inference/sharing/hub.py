"""Shared folders on the Hugging Face Hub."""

import os
from typing import Any

from ifa_jax.files import json_file
from ifa_jax.files.shown import one_line
from ifa_jax.inference.sharing import record

# Files that are read; a repository may contain more.
_FILES = (
  "config.json",
  "crc32c.json",
  "model.safetensors",
  "scenes.json",
  "words.txt",
  "region_encoder/*",
  "tokenizer/*",
)
# Files that the hub makes with a repository.
_INITIAL = {".gitattributes", "README.md"}


def find(
  folder_or_hub_id: str | os.PathLike, revision: str | None = None
) -> str:
  """Returns a folder unchanged, and a local copy of a repository.

  Args:
    folder_or_hub_id: a folder, or "user/name".
    revision: branch, tag or commit on the hub; None: its main branch.

  Raises:
    ValueError: if it is no folder and cannot be fetched, or for a revision of a
      folder.
  """
  name = os.fspath(folder_or_hub_id)
  if os.path.isdir(name):
    if revision is not None:
      raise ValueError(
        f"revision: expected none of the folder {name}, got {revision!r}"
      )
    return name
  if name.startswith((".", "/", "~")) or name.count("/") != 1:
    raise ValueError(
      f"{name}: expected a folder, or user/name on the hub, got neither"
    )
  import huggingface_hub

  try:
    return huggingface_hub.snapshot_download(
      name, revision=revision, allow_patterns=[*_FILES]
    )
  except Exception as error:  # Of the hub, of the network, of the cache.
    raise ValueError(
      f"{name}: expected a folder, or a model that can be fetched from the hub,"
      f" got neither ({one_line(error)})"
    ) from None


def upload(folder: str, repo_id: str, private: bool) -> str:
  """Uploads a folder to a repository; returns the URL of the commit.

  Args:
    folder: its files replace all in the repository.
    repo_id: "user/name"; created if it does not exist.
    private: whether a new repository is private; one that exists must be too.

  Raises:
    ValueError: if the hub cannot be reached or refuses, or if the repository
      holds something else or is public in place of private.
  """
  import huggingface_hub

  api = huggingface_hub.HfApi()
  try:
    problem = _problem(api, repo_id, private)
    if problem is None:
      api.create_repo(repo_id, private=private, exist_ok=True)
      commit = api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        commit_message="Upload model and card",
        # Files of a model that was uploaded earlier.
        delete_patterns="*",
      )
      return commit.commit_url
  except Exception as error:  # Of the hub, of the network, of the account.
    raise ValueError(
      f"{repo_id}: expected a repository to upload to, got an error"
      f" ({one_line(error)})"
    ) from None
  raise ValueError(f"{repo_id}: expected {problem}")


def _problem(api: Any, repo_id: str, private: bool) -> str | None:
  """Returns why a repository that exists cannot be replaced, or None."""
  if not api.repo_exists(repo_id):
    return None
  info = api.model_info(repo_id)
  if private and not info.private:
    return "a private repository, got a public one; change it on the hub first"
  names = {file.rfilename for file in info.siblings or ()}
  others = sorted(names - _INITIAL)
  if not others:
    return None
  if record.FILE in names:
    path = api.hf_hub_download(repo_id, record.FILE)
    if record.is_shared(json_file.load(path)):
      return None
  return f"a repository that is empty or holds such a model, got {others[0]}"
