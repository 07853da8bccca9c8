"""Zip archives of others, which may hold far more than they weigh."""

import os
import zipfile
from typing import Any


def check_size(archive: zipfile.ZipFile) -> None:
  """Checks that an archive's members are stored, not compressed.

  As `torch.save` and `numpy.savez` write them. So what is read of a file takes
  no more memory than the file has bytes.

  Raises:
    zipfile.BadZipFile: if its members have more bytes than the file.
  """
  file: Any = archive.fp  # None once it is closed.
  file.seek(0, os.SEEK_END)
  weight = file.tell()
  held = sum(member.file_size for member in archive.infolist())
  if held > weight:
    raise zipfile.BadZipFile(
      f"its members unpack to {held} bytes, the file has {weight}"
    )
