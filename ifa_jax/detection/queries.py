"""The name of an entity to the query of a grounder's text encoder.

St. Louis   ->  st louis.    Grounding DINO
St. Louis   ->  St. Louis    OWL-ViT
"""

import re
from typing import Any

# transformers' pipeline gives a query to the tokenizer as it is, one query in a
# forward pass. Grounding DINO was trained on lower-case phrases that each end
# in ".". It takes "." and "?" for the end of a phrase, whose words do not see
# those of others (modeling_grounding_dino.py:1807), so within a name they would
# split it. OWL-ViT was trained on bare names, and its tokenizer folds case.
_ENDS = {
  "grounding-dino": ".",
  "mm-grounding-dino": ".",
  "owlvit": "",
  "owlv2": "",
}


class Queries:
  """Makes the queries of one grounder."""

  def __init__(self, tokenizer: Any, config: Any, name: str):
    """Takes a grounder's tokenizer and config, of transformers.

    Raises:
      ValueError: for a grounder of another type than in `_ENDS`.
    """
    if config.model_type not in _ENDS:
      raise ValueError(
        f"{name}: expected a grounder, one of {', '.join(_ENDS)}, got"
        f" {config.model_type!r}"
      )
    self._tokenizer = tokenizer
    self._end = _ENDS[config.model_type]
    # 256 tokens in Grounding DINO, 16 in OWL-ViT. The pipeline does not
    # truncate, and fails for longer queries.
    self._max_tokens = min(
      tokenizer.model_max_length,
      config.text_config.max_position_embeddings,
      getattr(config, "max_text_len", tokenizer.model_max_length),
    )

  def make(self, name: str) -> str | None:
    """Returns the query for a name, None if there is nothing to look for.

    That is so if the name has only special tokens: it is blank, or an emoji
    that is not in the vocabulary. A name of too many tokens is truncated.
    """
    # A file may hold half of a surrogate pair, which tokenizers refuse.
    text = name.encode("utf-8", "ignore").decode()
    if self._end:
      text = re.sub("[.?]", " ", text.lower())
    text = self._truncate(" ".join(text.split()))
    return text + self._end if text else None

  def _truncate(self, text: str) -> str:
    encoded = self._tokenizer(
      text,
      truncation=True,
      max_length=self._max_tokens,
      return_offsets_mapping=True,
    )
    if not {*encoded["input_ids"]} - {*self._tokenizer.all_special_ids}:
      return ""
    text = text[: max(end for _, end in encoded["offset_mapping"])]
    # The end takes a token as well, and a cut word may have more pieces.
    while self._num_tokens(text + self._end) > self._max_tokens:
      text = text[:-1]
    return text.rstrip()

  def _num_tokens(self, query: str) -> int:
    encoded = self._tokenizer(query, truncation=False, verbose=False)
    return len(encoded["input_ids"])
