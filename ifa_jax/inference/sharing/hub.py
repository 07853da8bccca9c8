"""Shared folders on the Hugging Face Hub."""

import os
import tempfile
from collections.abc import Callable

# All that is read; a repository may hold more.
_FILES = (
  "config.json",
  "crc32c.json",
  "model.safetensors",
  "scenes.json",
  "words.txt",
  "region_encoder/*",
  "tokenizer/*",
)
_MOST_SHOWN = 200


def find(
  folder_or_hub_id: str | os.PathLike, revision: str | None = None
) -> str:
  """Returns a folder as it is, and a local copy of anything else.

  Args:
    folder_or_hub_id: a folder, or "user/name".
    revision: branch, tag or commit on the hub; None: its main branch.

  Raises:
    ValueError: if it is neither a folder nor can be fetched.
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
      f" got neither ({_one_line(error)})"
    ) from None


def push(write: Callable[[str], None], repo_id: str, private: bool) -> str:
  """Uploads a folder to a repository; returns the commit's address.

  Args:
    write: fills a folder, which is new.
    repo_id: "user/name"; created if it is not there.
    private: whether a repository that is created is private.

  Raises:
    ValueError: if the hub cannot be reached or refuses.
  """
  import huggingface_hub

  api = huggingface_hub.HfApi()
  with tempfile.TemporaryDirectory(prefix="ifa_jax-") as temporary:
    folder = os.path.join(temporary, "model")
    # Before anything is created, so that an error leaves no empty repository.
    write(folder)
    try:
      api.create_repo(repo_id, private=private, exist_ok=True)
      commit = api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        commit_message="Upload model and card",
        # Of another model that was uploaded before.
        delete_patterns="*",
      )
    except Exception as error:  # Of the hub, of the network, of the account.
      raise ValueError(
        f"{repo_id}: expected a repository to upload to, got an error"
        f" ({_one_line(error)})"
      ) from None
  return commit.commit_url


def _one_line(error: Exception) -> str:
  return " ".join(str(error).split())[:_MOST_SHOWN] or type(error).__name__
