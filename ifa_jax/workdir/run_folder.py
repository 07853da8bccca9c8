"""A run's folder: its config, metrics, scores and predictions.

Files appear whole or not at all: each is written under another name and then
renamed. All processes of a run share the folder; the first one writes.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from ifa_jax.files import json_file, scratch, whole
from ifa_jax.files.shown import shown
from ifa_jax.runtime import collectives
from ifa_jax.workdir import differences

_RECORD = "config.json"
# Needed to read posts that are not in the dataset.
VOCABULARY_FILE, SCENES_FILE = "words.txt", "scenes.json"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunFolder:
  """Reads and writes the files of one run."""

  def __init__(self, path: str | os.PathLike):
    """Only stores the path; nothing is written yet."""
    self.path = os.path.abspath(path)

  def file(self, name: str) -> str:
    """Returns the path of a file in the folder."""
    return os.path.join(self.path, name)

  def write_json(self, name: str, value: Any) -> None:
    """Writes a value as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    self._write(name, [text, "\n"])

  def write_lines(self, name: str, values: Iterable[Any]) -> None:
    """Writes JSON values, one a line."""
    texts = (json.dumps(value, ensure_ascii=False) for value in values)
    self._write(name, (f"{text}\n" for text in texts))

  def write_text(self, name: str, text: str) -> None:
    """Writes a text file."""
    self._write(name, [text])

  def _write(self, name: str, parts: Iterable[str]) -> None:
    if not collectives.is_first():
      return
    partial = self.file(_partial(name))
    with open(partial, "w", encoding="utf-8") as file:
      file.writelines(parts)
      # The content must be on disk before the name is.
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, self.file(name))

  def copy(self, source: str) -> None:
    """Copies a folder into this one under its own name, unless it exists."""
    target = self.file(os.path.basename(source))
    if collectives.is_first() and not os.path.isdir(target):
      shutil.copytree(source, _partial(target), dirs_exist_ok=True)
      os.replace(_partial(target), target)

  def read_text(self, name: str) -> str | None:
    """Returns a text file, or None if there is none; never fails to decode."""
    try:
      with open(self.file(name), "rb") as file:
        return file.read().decode(errors="replace")
    except FileNotFoundError:
      return None

  def read_json(self, name: str) -> Any | None:
    """Returns the value in a JSON file, or None if there is no such file.

    Raises:
      ValueError: if it is not JSON; names the file.
    """
    try:
      return json_file.load(self.file(name))
    except FileNotFoundError:
      return None

  def read_record(self) -> dict[str, Any]:
    """Returns the content of `config.json`.

    Raises:
      ValueError: if the folder holds no run, or a damaged record.
    """
    record = self.read_json(_RECORD)
    if not isinstance(record, dict) or not {"config", "dataset"} <= {*record}:
      found = "none" if record is None else "that of another program"
      raise ValueError(
        f"{self.path}: expected a run's folder with a {_RECORD}, got {found};"
        " train first: python launch.py --config=... --workdir=DIR"
      )
    for key in ("config", "dataset"):
      if not isinstance(record[key], dict):
        raise ValueError(
          f"{self.file(_RECORD)}: {key}: expected an object, got"
          f" {shown(record[key])}"
        )
    return record

  def claim(
    self,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    describe_start: Callable[[], Mapping[str, Any]] = dict,
    read_config: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
  ) -> None:
    """Writes `config.json`, or checks that the folder holds this very run.

    Args:
      config: the run's whole config, plain values.
      dataset: metadata of the prepared dataset.
      describe_start: returns further entries of a new `config.json`.
      read_config: converts a recorded config, maybe of an older version, to
        this version's.

    Raises:
      ValueError: on every process, if the folder holds another run or other
        files, or if the processes do not share it. Nothing is written.
    """

    def claim() -> None:
      record = {"config": config, "dataset": dataset}
      is_new = not os.path.exists(self.file(_RECORD))
      if not is_new or not self._begin({**record, **describe_start()}):
        self.check(config, dataset, read_config)

    # The first process writes the record that the others then compare.
    collectives.run_on_first(claim)
    collectives.check_shared(self.path)
    collectives.run_on_all(lambda: None if collectives.is_first() else claim())

  def check(
    self,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    read_config: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
  ) -> None:
    """Checks that the folder holds this very run, see `claim`; writes nothing.

    Raises:
      ValueError: if it holds another run, or none.
    """
    recorded = self.read_record()
    recorded["config"] = read_config(recorded["config"])
    self._compare(recorded, {"config": config, "dataset": dataset})

  def check_relations(self, relations: Sequence[str]) -> None:
    """Checks the relations of a dataset against those of the run here, if any.

    Raises:
      ValueError: if they differ; names those that do.
    """
    if not os.path.exists(self.file(_RECORD)):
      return
    dataset = self.read_record()["dataset"]
    # Other values of the record are compared by `claim`.
    if "relations" in dataset:
      sides = (dataset["relations"], [*relations])
      self._compare(*({"dataset": {"relations": side}} for side in sides))

  def _compare(
    self, recorded: Mapping[str, Any], asked: Mapping[str, Any]
  ) -> None:
    sides = ({key: side[key] for key in asked} for side in (recorded, asked))
    if found := differences.find(*sides):
      raise ValueError(f"{self.path}: holds another run: {found}")

  def _begin(self, record: Mapping[str, Any]) -> bool:
    """Writes a new record; returns False if another process was first."""
    os.makedirs(self.path, exist_ok=True)
    # A start that was killed here leaves a partial record, and nothing else.
    partial = whole.partial_name(_RECORD)
    if not all(name.startswith(partial) for name in os.listdir(self.path)):
      if os.path.exists(self.file(_RECORD)):
        return False
      raise ValueError(
        f"{self.path}: expected a new folder or one that holds a run, got other"
        f" files and no {_RECORD}"
      )
    versions = {name: metadata.version(name) for name in _PACKAGES}
    made_by = {
      "versions": {"python": platform.python_version(), **versions},
      "git_commit": _git_commit(),
    }
    # The lock of `held` is on this very file, which is never replaced.
    return whole.write_new(self.file(_RECORD), {**record, **made_by})

  @contextlib.contextmanager
  def held(self) -> Iterator[None]:
    """Holds an exclusive lock on the folder, if the file system has locks.

    Raises:
      ValueError: if another process holds it.
    """
    with contextlib.ExitStack() as stack:
      collectives.run_on_first(lambda: self._hold(stack))
      yield

  def _hold(self, stack: contextlib.ExitStack) -> None:
    # Some file systems lock only files that are open for writing.
    record = stack.enter_context(open(self.file(_RECORD), "r+b"))  # noqa: SIM115
    try:
      fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise ValueError(
        f"{self.path}: another process is training there; wait until it ends"
      ) from None
    except OSError as error:
      if error.errno not in scratch.NO_LOCKS:
        raise


def _partial(path: str) -> str:
  return f"{path}.partial"


def _git_commit() -> str | None:
  """Returns the commit of the code, if known; "-dirty" if it was changed."""

  def ask(*words: str) -> str:
    line = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), *words]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    return run.stdout.strip()

  try:
    # Fails if the package is not part of the repository around it.
    ask("ls-files", "--error-unmatch", os.path.abspath(__file__))
    commit = ask("rev-parse", "HEAD")
    return commit + ("-dirty" if ask("status", "--porcelain") else "")
  except (OSError, subprocess.CalledProcessError):
    return None
