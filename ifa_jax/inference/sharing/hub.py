"""Shared folders on the Hugging Face Hub."""

import os

from ifa_jax.files.shown import one_line

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


def find(
  folder_or_hub_id: str | os.PathLike, revision: str | None = None
) -> str:
  """Returns a folder unchanged, and a local copy of a repository.

  Args:
    folder_or_hub_id: a folder, or "user/name".
    revision: branch, tag or commit on the hub; None: its main branch.

  Raises:
    ValueError: if it is no folder and cannot be fetched.
  """
  name = os.fspath(folder_or_hub_id)
  if os.path.isdir(name):
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
    private: whether a new repository is private.

  Raises:
    ValueError: if the hub cannot be reached or refuses.
  """
  import huggingface_hub

  api = huggingface_hub.HfApi()
  try:
    api.create_repo(repo_id, private=private, exist_ok=True)
    commit = api.upload_folder(
      repo_id=repo_id,
      folder_path=folder,
      commit_message="Upload model and card",
      # Files of a model that was uploaded earlier.
      delete_patterns="*",
    )
  except Exception as error:  # Of the hub, of the network, of the account.
    raise ValueError(
      f"{repo_id}: expected a repository to upload to, got an error"
      f" ({one_line(error)})"
    ) from None
  return commit.commit_url
