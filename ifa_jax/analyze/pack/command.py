r"""Packs the predictions of runs into one archive, to publish with a table.

    python -m ifa_jax.analyze pack --workdir=runs/results \
        --out=results.tar.gz --checksums=docs/results.sha256

Every `predictions_*.jsonl` below WORKDIR is packed under its path, reduced to
`id`, `gold`, `pred`, `probability`, `protocol` and `img_id`: all that
`analyze compare` reads, and no text of a post. Equal predictions give an equal
archive. `--checksums` writes the SHA-256 of each packed file, as `sha256sum
--check` reads it, so that a published archive can be checked.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Iterator

from absl import flags

from ifa_jax.analyze import outputs
from ifa_jax.files import json_file

_KEPT = ("id", "gold", "pred", "probability", "protocol", "img_id")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "The folder of all runs.")
  flags.DEFINE_string("out", None, "The archive to write, a .tar.gz.")
  flags.DEFINE_string("checksums", None, "A list of SHA-256 sums to write.")
  flags.mark_flags_as_required(["workdir", "out"])


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  outputs.make_folders(values.out, values.checksums)
  files = dict(reduced(values.workdir))
  write(values.out, files)
  if values.checksums:
    outputs.write(values.checksums, checksums(files))
  size = os.path.getsize(values.out) / 2**20
  print(f"{len(files)} files written to {values.out} ({size:.1f} MiB)")


def reduced(workdir: str) -> Iterator[tuple[str, bytes]]:
  """Yields the path below `workdir` and the content of each file, sorted.

  Raises:
    ValueError: if there is none, or a line is not a JSON object.
  """
  paths = sorted(pathlib.Path(workdir).rglob("predictions_*.jsonl"))
  if not paths:
    raise ValueError(f"{workdir}: expected predictions_*.jsonl, got no file")
  for path in paths:
    lines = []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
      line = json_file.parse(text, f"{path}, line {number}")
      if not isinstance(line, dict):
        raise ValueError(
          f"{path}, line {number}: expected a JSON object, got"
          f" {type(line).__name__}"
        )
      kept = {key: line[key] for key in _KEPT if key in line}
      lines.append(json.dumps(kept, ensure_ascii=False) + "\n")
    yield path.relative_to(workdir).as_posix(), "".join(lines).encode()


def write(path: str, files: dict[str, bytes]) -> None:
  """Writes a .tar.gz that depends on names and contents only."""
  # Neither the time nor the name of the archive enters its bytes.
  with (
    open(path, "wb") as out,
    gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed,
    tarfile.open(fileobj=packed, mode="w") as archive,
  ):
    for name, content in files.items():
      entry = tarfile.TarInfo(name)
      entry.size = len(content)
      archive.addfile(entry, io.BytesIO(content))


def checksums(files: dict[str, bytes]) -> str:
  """Returns a line "SHA256  name" for each file."""
  return "".join(
    f"{hashlib.sha256(content).hexdigest()}  {name}\n"
    for name, content in files.items()
  )
