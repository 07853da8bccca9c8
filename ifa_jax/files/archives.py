"""Zip archives from elsewhere, which may unpack to far more than their size."""

import os
import zipfile
from typing import Any


def check_size(archive: zipfile.ZipFile) -> None:
  """Checks that an archive's members are stored, not compressed.

  `torch.save` and `numpy.savez` store them. Reading such a file takes no more
  memory than it has bytes.

  Raises:
    zipfile.BadZipFile: if the members have more bytes than the file.
  """
  file: Any = archive.fp  # None once it is closed.
  size = file.seek(0, os.SEEK_END)
  unpacked = sum(member.file_size for member in archive.infolist())
  if unpacked > size:
    raise zipfile.BadZipFile(
      f"members that unpack to {unpacked} bytes in a file of {size}"
    )
