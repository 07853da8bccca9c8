"""The part of a post that the record of its prediction keeps."""

from collections.abc import Mapping
from typing import Any

# Keys of the model's answer.
ANSWER = ("relation", "probability", "probabilities", "protocol")
# The key under which a post's own values of these keys are returned.
GIVEN = "given"


def kept(post: Mapping[str, Any], error: str | None = None) -> dict[str, Any]:
  """Returns a post without pictures in bytes and without earlier answers.

  A post may be the record of a prediction: its answer is then dropped, and its
  `error` if it is the error of this prediction as well. Otherwise a post's own
  values under these names move to `given`:

      {"id": 1, "relation": "/per/per/couple"}
      {"id": 1, "given": {"relation": "/per/per/couple"}}

  Args:
    post: as `ifa_jax.inference` describes it.
    error: of this prediction, if it failed.
  """
  rest = {k: v for k, v in post.items() if not isinstance(v, bytes)}
  if error is not None and rest.get("error") == error:
    del rest["error"]
  own = {key: rest.pop(key) for key in (*ANSWER, "error") if key in rest}
  if not own or _is_answer(own):
    return rest
  if GIVEN in rest:
    own[GIVEN] = rest[GIVEN]
  return rest | {GIVEN: own}


def _is_answer(own: Mapping[str, Any]) -> bool:
  """Returns whether these values are consistent with a model's answer."""
  if {*own} != {*ANSWER} or not isinstance(own["relation"], str):
    return False
  relation, probability, probabilities, _ = (own[key] for key in ANSWER)
  return (
    isinstance(probabilities, Mapping)
    and probabilities.get(relation) == probability
  )
