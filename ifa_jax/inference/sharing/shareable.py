"""Opening, saving and publishing models in folders."""

import functools
import os
from typing import TYPE_CHECKING, Self

from ifa_jax.inference.sharing import hub, shared_model
from ifa_jax.inference.sharing.run_model import RunModel
from ifa_jax.inference.sharing.shared_model import SharedModel
from ifa_jax.workdir.run_folder import RunFolder

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder


def open_folder(path: str | os.PathLike) -> RunModel | SharedModel:
  """Opens the model in a run folder or in a shared folder.

  Raises:
    ValueError: if the folder holds neither, or a damaged one.
  """
  if shared_model.is_shared(path):
    return SharedModel(path)
  return RunModel(RunFolder(path))


class Shareable:
  """Base class of `Predictor`: methods named as in Hugging Face libraries."""

  # Set by the subclass.
  _source: RunModel | SharedModel
  step: int

  @classmethod
  def from_pretrained(
    cls,
    folder_or_hub_id: str | os.PathLike,
    finder: "ObjectFinder | None" = None,
    revision: str | None = None,
  ) -> Self:
    """Loads a model that `save_pretrained` or `push_to_hub` wrote.

    Args:
      folder_or_hub_id: a folder, or else "user/name" on the Hugging Face Hub.
      finder: finds objects, see `Predictor`.
      revision: branch, tag or commit on the hub; None: its main branch.

    Raises:
      ValueError: if it can be neither found nor fetched, or is damaged.
    """
    return cls(hub.find(folder_or_hub_id, revision), finder)  # pyright: ignore[reportCallIssue]

  def save_pretrained(
    self,
    folder: str | os.PathLike,
    license: str | None = None,
    dataset: str | None = None,
  ) -> None:
    """Writes a shared folder (`inference.sharing`), completely or not at all.

    Args:
      folder: new or empty; its name is the model's name in the card.
      license: identifier for the model card, such as "apache-2.0".
      dataset: name of the training data for the card, such as "MNRE".

    Raises:
      ValueError: if the folder is not empty, or the run's scores are damaged.
    """
    from ifa_jax.inference.sharing import saving

    name = os.path.basename(os.path.abspath(folder))
    saving.save(self._source, self.step, folder, name, license, dataset)

  def push_to_hub(
    self,
    repo_id: str,
    private: bool = False,
    license: str | None = None,
    dataset: str | None = None,
  ) -> str:
    """Uploads the folder of `save_pretrained`; returns the URL of the commit.

    The token comes from `hf auth login` or the variable HF_TOKEN.

    Args:
      repo_id: "user/name"; created if it is not there.
      private: whether a repository that is created is private.
      license: see `save_pretrained`.
      dataset: see `save_pretrained`.

    Raises:
      ValueError: if the hub cannot be reached or refuses.
    """
    from ifa_jax.inference.sharing import saving

    write = functools.partial(
      saving.save,
      self._source,
      self.step,
      name=repo_id,
      license=license,
      dataset=dataset,
    )
    return hub.push(write, repo_id, private)
