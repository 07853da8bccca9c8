"""Progress bars, the same for every command."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from tqdm import tqdm


def bar(*args: Any, **options: Any) -> "tqdm":
  """Returns a tqdm bar on standard error, updated rarely in a log file."""
  # Most commands show no bar and need not load it.
  from tqdm import tqdm

  rarely = {} if sys.stderr.isatty() else {"mininterval": 15.0}
  return tqdm(*args, dynamic_ncols=True, **rarely, **options)
