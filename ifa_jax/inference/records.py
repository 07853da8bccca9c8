"""Records of predictions: the post, and its answer or its error."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.inference.post import has_entities

# Keys of the model's answer.
ANSWER = ("relation", "probability", "probabilities", "protocol")
# Keys of the answer to a post with entities.
ANSWER_OF_PAIRS = ("relations", "protocol")
# The key under which a post's own values of these keys are returned.
GIVEN = "given"
# Long values that a record omits; the record of an error keeps them.
_BULKY = ("boxes", "image_base64")


def finite(probabilities: np.ndarray) -> np.ndarray:
  """Returns probabilities.

  Raises:
    ValueError: if one is not finite.
  """
  if not np.all(np.isfinite(probabilities)):
    raise ValueError(
      "expected finite probabilities, got others: training has diverged"
    )
  return probabilities


def answered(
  post: Mapping[str, Any],
  names: tuple[str, str],
  probabilities: np.ndarray,
  relations: Sequence[str],
  protocol: str,
) -> dict[str, Any]:
  """Returns the record of a prediction.

  Args:
    post: as `ifa_jax.inference` describes it.
    names: of head and tail, as they occur in the text.
    probabilities: float32[C].
    relations: names by id.
    protocol: of the training data.
  """
  own = {k: v for k, v in kept(post).items() if k not in _BULKY}
  best = int(probabilities.argmax())
  rounded = [round(float(p), 6) for p in probabilities]
  return {
    **own,
    "head": names[0],
    "tail": names[1],
    "relation": relations[best],
    "probability": rounded[best],
    "probabilities": dict(zip(relations, rounded, strict=True)),
    "protocol": protocol,
  }


def answered_pairs(
  post: Mapping[str, Any],
  names: Sequence[str],
  relations: Sequence[Mapping[str, Any]],
  protocol: str,
) -> dict[str, Any]:
  """Returns the record of a post with entities.

  Args:
    post: as `ifa_jax.inference` describes it.
    names: of the entities, as they occur in the text.
    relations: chosen ones, see `choose`.
    protocol: of the training data.
  """
  own = {k: v for k, v in kept(post).items() if k not in _BULKY}
  entities = [
    {**entity, "name": name}
    for entity, name in zip(post["entities"], names, strict=True)
  ]
  own |= {"entities": entities}
  return own | {"relations": [*relations], "protocol": protocol}


def failed(post: Mapping[str, Any], error: str) -> dict[str, Any]:
  """Returns the record of an invalid post."""
  return kept(post, error) | {"error": error}


def kept(post: Mapping[str, Any], error: str | None = None) -> dict[str, Any]:
  """Returns a post without pictures in bytes and without earlier answers.

  A post may be the record of a prediction: its answer is then dropped, and its
  `error` if it is the error of this prediction as well. Otherwise a post's own
  values under these names move to `given`:

      {"id": 1, "relation": "/per/per/couple"}
      {"id": 1, "given": {"relation": "/per/per/couple"}}
  """
  rest = {k: v for k, v in post.items() if not isinstance(v, bytes)}
  if error is not None and rest.get("error") == error:
    del rest["error"]
  answer = ANSWER_OF_PAIRS if has_entities(post) else ANSWER
  own = {key: rest.pop(key) for key in (*answer, "error") if key in rest}
  if not own or _is_answer(own):
    return rest
  if GIVEN in rest:
    own[GIVEN] = rest[GIVEN]
  return rest | {GIVEN: own}


def _is_answer(own: Mapping[str, Any]) -> bool:
  """Returns whether these values are consistent with a model's answer."""
  if {*own} == {*ANSWER_OF_PAIRS}:
    return isinstance(own["relations"], list)
  if {*own} != {*ANSWER} or not isinstance(own["relation"], str):
    return False
  relation, probability, probabilities, _ = (own[key] for key in ANSWER)
  return (
    isinstance(probabilities, Mapping)
    and probabilities.get(relation) == probability
  )
