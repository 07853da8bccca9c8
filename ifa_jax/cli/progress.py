"""Progress bars, the same for every command."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from tqdm import tqdm


def bar(*args: Any, **options: Any) -> "tqdm":
  """Returns a tqdm bar on standard error; in a log file it shows seldom."""
  # Most commands show none.
  from tqdm import tqdm

  seldom = {} if sys.stderr.isatty() else {"mininterval": 15.0}
  return tqdm(*args, dynamic_ncols=True, **seldom, **options)
