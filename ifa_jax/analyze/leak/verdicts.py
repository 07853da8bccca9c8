"""What an audit can say: a leak, none, or that there are too few rows."""

from collections.abc import Iterable

LEAK = "leak"
NO_LEAK = "no leak"
TOO_FEW = "too few rows to tell"

# How often an audit cries leak of a number where none tells anything (its tests
# share this, by Bonferroni), and how often the test of queries does.
ALPHA = 0.01


def of_bounds(low: float, high: float, tolerated: float) -> str:
  """Returns the verdict on something that lies between two bounds, surely."""
  if low > tolerated:
    return LEAK
  return NO_LEAK if high <= tolerated else TOO_FEW


def worst(verdicts: Iterable[str]) -> str:
  """Returns a leak before too few rows before none."""
  found = {*verdicts}
  ordered = (LEAK, TOO_FEW, NO_LEAK)
  return next((verdict for verdict in ordered if verdict in found), NO_LEAK)
