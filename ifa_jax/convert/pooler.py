"""BERT's pooler, which a text encoder brings beside what IFAformer reads.

The system "bert" reads [CLS] through it with pooling="cls"; IFAformer reads the
markers and has no such layer. So converted weights hold it beside the model's
own parameters, where the source has one:

    pooler/kernel    float32[D, D]
    pooler/bias      float32[D]
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ifa_jax.convert.rules import linear

ROOT = "pooler"
# Under the name that `BertModel` gives it.
NAME = "pooler.dense"
RULES = linear(NAME, ROOT)
BLANK = "all 0: an export has it in place of one that its model does not have"


def shapes(width: int) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape, for a text stream of that width."""
  return {f"{ROOT}/kernel": (width, width), f"{ROOT}/bias": (width,)}


def without(params: Mapping[str, Any]) -> dict[str, Any]:
  """Returns nested parameters but for the pooler's."""
  return {name: tree for name, tree in params.items() if name != ROOT}


def blank_names(weights: Mapping[str, np.ndarray]) -> list[str]:
  """Returns the names of a `BertModel`'s pooler that is 0 everywhere."""
  names = [name for name in weights if name.startswith(f"{NAME}.")]
  return [] if any(weights[name].any() for name in names) else names
