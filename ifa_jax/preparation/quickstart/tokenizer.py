"""A small uncased WordPiece tokenizer that covers the quickstart posts."""

import json
import os
import string

import tokenizers

from ifa_jax.preparation.quickstart import texts

# BERT's special tokens by their keys in tokenizer_config.json.
SPECIALS = {
  f"{name.lower()}_token": f"[{name}]"
  for name in ("PAD", "UNK", "CLS", "SEP", "MASK")
}


def vocabulary() -> list[str]:
  """Returns the pieces in the order of their ids.

  Template words are whole, names split into syllables, and all other words into
  letters and digits.
  """
  splitter = tokenizers.BertWordPieceTokenizer(lowercase=True)
  words = splitter.normalizer.normalize_str(texts.template_words())
  split = splitter.pre_tokenizer.pre_tokenize_str(words)
  letters = string.ascii_lowercase + string.digits
  pieces = [*SPECIALS.values(), *string.punctuation, *letters]
  pieces += [f"##{letter}" for letter in letters]
  for syllable in texts.SYLLABLES:
    pieces += [syllable, f"##{syllable}"]
  pieces += ["##ville", "##burg"]
  pieces += sorted({word for word, _ in split})
  return list(dict.fromkeys(pieces))


def save(folder: str) -> None:
  """Writes a folder for `transformers.AutoTokenizer.from_pretrained`."""
  os.makedirs(folder)
  pieces = vocabulary()
  tokenizer = tokenizers.BertWordPieceTokenizer(
    {piece: index for index, piece in enumerate(pieces)}, lowercase=True
  )
  tokenizer.save(os.path.join(folder, "tokenizer.json"))
  with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
    file.write("\n".join(pieces) + "\n")
  config = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "model_max_length": 512,
    **SPECIALS,
  }
  path = os.path.join(folder, "tokenizer_config.json")
  with open(path, "w", encoding="utf-8") as file:
    json.dump(config, file, indent=1)
