"""What the record of a prediction keeps of its post, which may be a record."""

from collections.abc import Mapping
from typing import Any

# Keys of the model's answer.
ANSWER = ("relation", "probability", "probabilities", "protocol")
# Where a post's own values of these keys go.
GIVEN = "given"


def kept(post: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what a record keeps of a post.

  All but pictures in bytes and what an earlier record added: its answer, or
  the text of its `error`. A post's own values under these names move to
  `given`:

      {"id": 1, "relation": "/per/per/couple"}
      {"id": 1, "given": {"relation": "/per/per/couple"}}

  Args:
    post: as `ifa_jax.inference` describes it.
  """
  rest = {k: v for k, v in post.items() if not isinstance(v, bytes)}
  if isinstance(rest.get("error"), str):
    del rest["error"]
  taken = {key: rest.pop(key) for key in (*ANSWER, "error") if key in rest}
  if not taken or _is_answer(taken):
    return rest
  if GIVEN in rest:
    taken[GIVEN] = rest[GIVEN]
  return rest | {GIVEN: taken}


def _is_answer(taken: Mapping[str, Any]) -> bool:
  """Returns whether a model gave these values, as far as can be seen."""
  if {*taken} != {*ANSWER} or not isinstance(taken["relation"], str):
    return False
  relation, probability, probabilities, _ = (taken[key] for key in ANSWER)
  return (
    isinstance(probabilities, Mapping)
    and probabilities.get(relation) == probability
  )
