"""A run's folder: its config, metrics, scores and predictions.

Files appear whole or not at all: each is written beside its place and renamed.
Of a run's processes, which share the folder, the first writes it.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

from ifa_jax.files import json_file
from ifa_jax.runtime import collectives
from ifa_jax.workdir import differences

# A file system without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_RECORD = "config.json"
# Needed to read posts that are not in the dataset.
VOCABULARY_FILE, SCENES_FILE = "words.txt", "scenes.json"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunFolder:
  """Reads and writes the files of one run."""

  def __init__(self, path: str | os.PathLike):
    """Names the folder; nothing is written yet."""
    self.path = os.path.abspath(path)

  def file(self, name: str) -> str:
    """Returns the path of a file in the folder."""
    return os.path.join(self.path, name)

  def write_json(self, name: str, value: Any) -> None:
    """Writes a value as indented JSON."""
    if not collectives.is_first():
      return
    with _replacing(self.file(name)) as file:
      json.dump(value, file, indent=2, ensure_ascii=False)
      file.write("\n")

  def write_lines(self, name: str, values: Iterable[Any]) -> None:
    """Writes JSON values, one a line."""
    if not collectives.is_first():
      return
    with _replacing(self.file(name)) as file:
      for value in values:
        file.write(json.dumps(value, ensure_ascii=False) + "\n")

  def write_text(self, name: str, text: str) -> None:
    """Writes a text file."""
    if not collectives.is_first():
      return
    with _replacing(self.file(name)) as file:
      file.write(text)

  def copy(self, source: str) -> None:
    """Copies a folder into this one under its own name, unless it is there."""
    target = self.file(os.path.basename(source))
    if collectives.is_first() and not os.path.isdir(target):
      shutil.copytree(source, f"{target}.partial", dirs_exist_ok=True)
      os.replace(f"{target}.partial", target)

  def read_json(self, name: str) -> Any | None:
    """Returns the value in a JSON file, or None if there is no such file.

    Raises:
      ValueError: if it holds something else than JSON, naming it.
    """
    try:
      with open(self.file(name), encoding="utf-8") as file:
        return json.load(file, object_pairs_hook=json_file.unique)
    except FileNotFoundError:
      return None
    except ValueError as error:
      raise ValueError(f"{self.file(name)}: no JSON ({error})") from None

  def read_record(self) -> dict[str, Any]:
    """Returns what `config.json` holds.

    Raises:
      ValueError: if the folder holds no run.
    """
    record = self.read_json(_RECORD)
    if not isinstance(record, dict) or not {"config", "dataset"} <= {*record}:
      found = "none" if record is None else "that of another program"
      raise ValueError(
        f"{self.path}: want a run's folder with a {_RECORD}, found {found};"
        " train first: python launch.py --config=... --workdir=DIR"
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

    Every process of a run checks, and one that finds a mistake stops all.

    Args:
      config: the run's whole config, plain values.
      dataset: metadata of the prepared dataset.
      describe_start: returns further entries of a new `config.json`.
      read_config: returns a recorded config, which may be an older version's,
        as this version would record it.

    Raises:
      ValueError: if the folder holds a run with another config or dataset, or
        files that are no run, or the processes do not share it. Names what
        differs; nothing is written.
    """
    claim = lambda: self._claim(  # noqa: E731
      config, dataset, describe_start, read_config
    )
    collectives.together(lambda: claim() if collectives.is_first() else None)
    collectives.check_shared(self.path)
    collectives.together(lambda: None if collectives.is_first() else claim())

  def _claim(
    self, config: Any, dataset: Any, describe_start: Any, read_config: Any
  ) -> None:
    if os.path.exists(self.file(_RECORD)):
      record = self.read_record()
      found = differences.find(
        {
          "config": read_config(record["config"]),
          "dataset": record["dataset"],
        },
        {"config": config, "dataset": dataset},
      )
      if found:
        raise ValueError(f"{self.path}: holds a run with {found}")
      return
    described = describe_start()
    os.makedirs(self.path, exist_ok=True)
    # All that a start leaves that was killed here.
    if {*os.listdir(self.path)} - {_partial(_RECORD)}:
      raise ValueError(
        f"{self.path}: want a new folder or one that holds a run, found other"
        f" files and no {_RECORD}"
      )
    self.write_json(
      _RECORD,
      {
        "config": config,
        "dataset": dataset,
        **described,
        "versions": _versions(),
        "git_commit": _git_commit(),
      },
    )

  @contextlib.contextmanager
  def held(self) -> Iterator[None]:
    """Keeps another start out of the folder, where its disk has locks.

    Raises:
      ValueError: if another process is writing to it.
    """
    with contextlib.ExitStack() as stack:
      collectives.together(
        lambda: self._hold(stack) if collectives.is_first() else None
      )
      yield

  def _hold(self, stack: contextlib.ExitStack) -> None:
    # A lock may want a file that is open for writing.
    record = stack.enter_context(open(self.file(_RECORD), "r+b"))  # noqa: SIM115
    try:
      fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise ValueError(
        f"{self.path}: another process is training there; wait for its end"
      ) from None
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[Any]:
  """Opens a text file that takes its place only when all is written."""
  with open(_partial(path), "w", encoding="utf-8") as file:
    yield file
    file.flush()
    os.fsync(file.fileno())
  os.replace(_partial(path), path)


def _partial(path: str) -> str:
  return f"{path}.partial"


def _versions() -> dict[str, str]:
  found = {name: metadata.version(name) for name in _PACKAGES}
  return {"python": platform.python_version(), **found}


def _git_commit() -> str | None:
  """Returns the commit of the code, marked if it was changed, if known."""
  here = os.path.dirname(os.path.abspath(__file__))
  ask = lambda *args: subprocess.run(  # noqa: E731
    ["git", "-C", here, *args], capture_output=True, text=True, check=True
  ).stdout.strip()
  try:
    # Else the commit would be that of a repository that merely surrounds it.
    ask("ls-files", "--error-unmatch", os.path.abspath(__file__))
    commit = ask("rev-parse", "HEAD")
    return commit + ("-dirty" if ask("status", "--porcelain") else "")
  except (OSError, subprocess.CalledProcessError):
    return None
