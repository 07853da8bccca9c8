"""The name of an entity to what a grounder's text encoder is asked for.

St. Louis   ->  st louis.    Grounding DINO
St. Louis   ->  St. Louis    OWL-ViT
"""

import re
from typing import Any

# transformers' pipeline gives a query to the tokenizer as it stands, one query
# in a forward pass. Grounding DINO was trained on lower-case phrases that each
# end in ".", and takes "." and "?" for the end of one: words before and after
# it do not see each other (modeling_grounding_dino.py:1807), so within a name
# they would make it two. OWL-ViT was trained on the bare names, and its
# tokenizer folds case itself.
_ENDS = {
  "grounding-dino": ".",
  "mm-grounding-dino": ".",
  "owlvit": "",
  "owlv2": "",
}


class Queries:
  """Makes the queries of one grounder."""

  def __init__(self, tokenizer: Any, config: Any, name: str):
    """Learns the grounder's habits.

    Args:
      tokenizer: the grounder's, of transformers.
      config: the grounder's, of transformers.
      name: the grounder's, for the error.

    Raises:
      ValueError: for a grounder of another kind than `_ENDS`.
    """
    if config.model_type not in _ENDS:
      raise ValueError(
        f"{name}: want a grounder, one of {', '.join(_ENDS)}, found"
        f" {config.model_type!r}"
      )
    self._tokenizer = tokenizer
    self._end = _ENDS[config.model_type]
    # 256 tokens in Grounding DINO, 16 in OWL-ViT. None is cut by the pipeline:
    # more would end it.
    self._max_tokens = min(
      tokenizer.model_max_length,
      config.text_config.max_position_embeddings,
      getattr(config, "max_text_len", tokenizer.model_max_length),
    )

  def make(self, name: str) -> str | None:
    """Returns the query for a name, None if there is nothing to look for.

    That is so where the name has no token but special ones: it is blank, or an
    emoji that the vocabulary does not hold. A name of too many tokens loses its
    end.
    """
    # A file may hold half of a surrogate pair, which no tokenizer takes.
    text = name.encode("utf-8", "ignore").decode()
    if self._end:
      text = re.sub("[.?]", " ", text.lower())
    text = self._cut(" ".join(text.split()))
    return text + self._end if text else None

  def _cut(self, text: str) -> str:
    """Returns as much of the beginning as the text encoder reads."""
    encoded = self._tokenizer(
      text,
      truncation=True,
      max_length=self._max_tokens,
      return_offsets_mapping=True,
    )
    if not {*encoded["input_ids"]} - {*self._tokenizer.all_special_ids}:
      return ""
    text = text[: max(end for _, end in encoded["offset_mapping"])]
    # The end needs a place as well, and a cut word may have more pieces alone.
    while self._num_tokens(text + self._end) > self._max_tokens:
      text = text[:-1]
    return text.rstrip()

  def _num_tokens(self, query: str) -> int:
    """Returns how many tokens the pipeline will make of a query."""
    return len(
      self._tokenizer(query, truncation=False, verbose=False)["input_ids"]
    )
