"""Raw MNRE trees, boxes and a tokenizer folder, made on the spot."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import tokenizers
from PIL import Image
from tokenizers import models, normalizers, pre_tokenizers

from ifa_jax.data import schema

RELATIONS = ("None", "/per/loc/place_of_birth", "/per/misc/present_in")

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def row(
  text="Bill Cosby in Hollywood",
  head=(0, 2),
  tail=(3, 4),
  img_id="a.jpg",
  relation=RELATIONS[2],
  **changes,
):
  """Returns a line of the text file as a dict; `changes` replace keys."""
  words = text.split()

  def entity(span):
    begin, end = span
    return {"name": " ".join(words[begin:end]), "pos": [begin, end]}

  return {
    "token": words,
    "h": entity(head),
    "t": entity(tail),
    "img_id": img_id,
    "relation": relation,
    **changes,
  }


def jpeg(width=64, height=48, seed=0):
  """Returns the bytes of a JPEG file of smooth random colours."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
  file = io.BytesIO()
  picture = Image.fromarray(coarse).resize((width, height))
  picture.save(file, "JPEG", quality=95)
  return file.getvalue()


def torch_pickle(content):
  """Returns the bytes of `torch.save(content)` for plain containers."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
    archive.writestr("archive/version", "3\n")
  return file.getvalue()


def write_tree(folder, rows, pictures=None, files=None, relations=RELATIONS):
  """Writes a raw tree and returns its path.

  Args:
    folder: where; made if absent.
    rows: split -> list of dicts (or of lines as text); a list is used for all
      three splits.
    pictures: path inside img_org/ ("train/a.jpg") -> bytes of the file.
    files: any other path in the tree -> bytes.
    relations: names in the order of their ids; None writes no rel2id file.
  """
  folder = os.fspath(folder)
  if not isinstance(rows, dict):
    rows = dict.fromkeys(schema.SPLITS, rows)
  contents = dict(files or {})
  for split, lines in rows.items():
    text = "".join(
      f"{line if isinstance(line, str) else repr(line)}\n" for line in lines
    )
    contents[f"txt/ours_{split}.txt"] = text.encode()
  for path, content in (pictures or {}).items():
    contents[f"img_org/{path}"] = content
  if relations is not None:
    ids = {name: i for i, name in enumerate(relations)}
    contents["ours_rel2id.json"] = json.dumps(ids).encode()
  for path, content in contents.items():
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
      file.write(content)
  return folder


def box(*edges, score=0.5, **more):
  """Returns an entry of a boxes file."""
  return {"box": list(edges), "score": score, **more}


def write_boxes(folder, content):
  """Writes a boxes file, as JSON unless it is text, and returns its path."""
  path = folder / "boxes.json"
  text = content if isinstance(content, str) else json.dumps(content)
  path.write_text(text)
  return path


def write_tokenizer(folder, words=("bill", "in", "hollywood", "##ywood")):
  """Writes a BERT-uncased-style WordPiece folder and returns its path.

  Every ASCII word has pieces: its letters if it is not in `words`.
  """
  folder = os.fspath(folder)
  os.makedirs(folder, exist_ok=True)
  letters = [*_CHARACTERS, *(f"##{letter}" for letter in _CHARACTERS)]
  pieces = dict.fromkeys([*_SPECIAL, *_PUNCTUATION, *letters, *words])
  vocabulary = {piece: i for i, piece in enumerate(pieces)}
  backend = tokenizers.Tokenizer(
    models.WordPiece(vocabulary, unk_token="[UNK]")
  )
  backend.normalizer = normalizers.BertNormalizer(lowercase=True)
  backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  backend.add_special_tokens(list(_SPECIAL))
  backend.save(os.path.join(folder, "tokenizer.json"))
  with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
    file.write("".join(f"{piece}\n" for piece in vocabulary))
  config = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    **{f"{t[1:-1].lower()}_token": t for t in _SPECIAL},
  }
  path = os.path.join(folder, "tokenizer_config.json")
  with open(path, "w", encoding="utf-8") as file:
    json.dump(config, file)
  return folder
