"""The tokenizer: ids, markers, files, and errors in one line."""

import json
import shutil
import socket
import time

import pytest
import raw_tree
import tokenizers

from ifa_jax.data.text import tokenizer as tokenization
from ifa_jax.data.text.tokenizer import Tokenizer

WORDS = ["Bill", "Cosby", "in", "Hollywood"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return raw_tree.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(folder):
  return Tokenizer.load(folder)


def pieces(tokenizer, encoded):
  """Returns the tokens as text, with spaces between."""
  published = tokenizer.vocab_size - 4
  names = tokenizer._pretrained.convert_ids_to_tokens
  return " ".join(
    names(i) if i < published else tokenization.markers.MARKERS[i - published]
    for i in encoded.input_ids
  )


def test_markers_and_word_ids(tokenizer):
  encoded = tokenizer.encode(WORDS, (0, 2), (3, 4), 80)
  assert pieces(tokenizer, encoded) == (
    "[CLS] <s> bill c ##o ##s ##b ##y </s> in <o> hollywood </o> [SEP]"
  )
  assert encoded.word_ids == [-1, -1, 0, 1, 1, 1, 1, 1, -1, 2, -1, 3, -1, -1]
  assert (encoded.head_start, encoded.tail_start) == (1, 10)
  size = tokenizer.vocab_size
  ids = encoded.input_ids
  assert [ids[1], ids[8], ids[10], ids[12]] == list(range(size - 4, size))


@pytest.mark.parametrize("text", ["[SEP]", "[CLS]", "[PAD]", "[UNK]"])
def test_text_never_becomes_a_special_token(tokenizer, text):
  encoded = tokenizer.encode(["Bill", text, "in"], (0, 1), (2, 3), 80)
  spelled = text[1].lower() + "".join(f" ##{c}" for c in text[2:-1].lower())
  assert pieces(tokenizer, encoded) == (
    f"[CLS] <s> bill </s> [ {spelled} ] <o> in </o> [SEP]"
  )


def test_text_never_becomes_a_marker(tokenizer):
  encoded = tokenizer.encode(["<s>", "</o>", "in"], (0, 1), (1, 2), 80)
  assert pieces(tokenizer, encoded) == (
    "[CLS] <s> < s > </s> <o> < / o > </o> in [SEP]"
  )


def test_an_entity_without_pieces_is_unknown(tokenizer):
  words = ["\u200d", "\u200b", "in", "\u200d", "Bill"]
  encoded = tokenizer.encode(words, (0, 2), (4, 5), 80)
  assert pieces(tokenizer, encoded) == (
    "[CLS] <s> [UNK] </s> in <o> bill </o> [SEP]"
  )
  assert encoded.word_ids == [-1, -1, 0, -1, 2, -1, 4, -1, -1]
  # The word itself stays without pieces elsewhere.
  again = tokenizer.encode(words, (2, 3), (4, 5), 80)
  assert "[UNK]" not in pieces(tokenizer, again)


def test_a_long_text_keeps_whole_markers_and_entities(tokenizer):
  words = ["in"] * 100 + ["Bill"] + ["in"] * 100 + ["Hollywood"]
  encoded = tokenizer.encode(words, (100, 101), (201, 202), 20)
  assert len(encoded.input_ids) == 20
  # Twelve words: four on each side, but none after the tail.
  assert pieces(tokenizer, encoded) == (
    "[CLS] in in in in <s> bill </s> in in in in"
    " in in in in <o> hollywood </o> [SEP]"
  )


def test_entities_that_do_not_fit_are_refused(tokenizer):
  with pytest.raises(ValueError, match="take 7 word pieces, only 6 fit"):
    tokenizer.encode(WORDS, (0, 2), (3, 4), 12)


def test_save_and_load_keep_the_fingerprint(tokenizer, tmp_path):
  tokenizer.save(tmp_path)
  again = Tokenizer.load(tmp_path)
  assert again.sha256 == tokenizer.sha256
  assert again.vocab_size == tokenizer.vocab_size


def test_the_fingerprint_depends_on_case_and_vocabulary(
  tokenizer, tmp_path, folder
):
  other = raw_tree.write_tokenizer(tmp_path / "words", words=("rome", "in"))
  cased = tmp_path / "cased"
  raw_tree.write_tokenizer(cased)
  config = json.loads((cased / "tokenizer_config.json").read_text())
  config["do_lower_case"] = False
  (cased / "tokenizer_config.json").write_text(json.dumps(config))
  backend = json.loads((cased / "tokenizer.json").read_text())
  backend["normalizer"]["lowercase"] = False
  (cased / "tokenizer.json").write_text(json.dumps(backend))
  found = {Tokenizer.load(path).sha256 for path in (folder, other, cased)}
  assert len(found) == 3


def test_padding_of_the_published_file_is_switched_off(tokenizer, tmp_path):
  raw_tree.write_tokenizer(tmp_path)
  backend = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
  backend.enable_padding(length=128)
  backend.enable_truncation(2)
  backend.save(str(tmp_path / "tokenizer.json"))
  padded = Tokenizer.load(tmp_path)
  assert padded.encode(WORDS, (0, 2), (3, 4), 80) == tokenizer.encode(
    WORDS, (0, 2), (3, 4), 80
  )


def test_the_cache_is_bounded(folder, monkeypatch):
  monkeypatch.setattr(tokenization, "_MAX_CACHED_WORDS", 30)
  tokenizer = Tokenizer.load(folder)
  for i in range(20):
    words = [f"{i}x{j}" for j in range(10)] + ["in", "Bill"]
    encoded = tokenizer.encode(words, (10, 11), (11, 12), 80)
    found = pieces(tokenizer, encoded)
    assert found.endswith("<s> in </s> <o> bill </o> [SEP]")
    assert tokenizer._cached_split.cache_info().currsize <= 30


def test_no_tokenizer_is_one_line(tmp_path):
  with pytest.raises(ValueError, match="no such folder") as error:
    Tokenizer.load(tmp_path / "nowhere")
  assert "\n" not in str(error.value)
  (tmp_path / "tokenizer.json").write_text("{}")
  with pytest.raises(
    ValueError, match="neither a folder nor a hub id"
  ) as error:
    Tokenizer.load(tmp_path)
  assert "\n" not in str(error.value)


def test_an_encoder_without_a_tokenizer_is_refused(tmp_path):
  """transformers would make one that knows no word."""
  (tmp_path / "config.json").write_text('{"model_type": "bert"}')
  expected = r"expected tokenizer\.json or vocab\.txt, got config\.json"
  with pytest.raises(ValueError, match=expected):
    Tokenizer.load(tmp_path)


def test_an_unreachable_hub_is_reported_at_once(monkeypatch, tmp_path):
  asked = []

  def fail(host, *_, **__):
    asked.append(host)
    raise socket.gaierror("no network")

  monkeypatch.setattr(socket, "getaddrinfo", fail)
  monkeypatch.setattr(time, "sleep", pytest.fail)
  with pytest.raises(ValueError, match="'no/such': neither a folder"):
    Tokenizer.load("no/such")
  assert len(asked) <= 2


def test_a_hub_id_is_read_from_its_cache_first(monkeypatch, folder):
  import huggingface_hub

  asked = []

  def snapshot_download(hub_id, *, allow_patterns, local_files_only=False):
    asked.append((hub_id, local_files_only))
    if local_files_only and len(asked) == 1:
      raise FileNotFoundError
    return str(folder)

  monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
  wanted = Tokenizer.load(folder).sha256
  for first in (1, 2):
    assert Tokenizer.load("some/bert").sha256 == wanted
    assert asked[-1] == ("some/bert", first == 2)
  assert len(asked) == 3


def test_another_kind_of_tokenizer_is_refused(tmp_path):
  bpe = tokenizers.Tokenizer(
    tokenizers.models.BPE({"a": 0, "<s>": 1}, [], unk_token="<s>")
  )
  bpe.save(str(tmp_path / "tokenizer.json"))
  config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<s>"}
  (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
  with pytest.raises(ValueError, match="expected BERT's WordPiece, got a BPE"):
    Tokenizer.load(tmp_path)


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_vocabulary(folder, words, config=None):
  """Writes vocab.txt and config.json, as old folders have them."""
  lines = "".join(f"{word}\n" for word in [*SPECIAL, *words])
  (folder / "vocab.txt").write_text(lines, encoding="utf-8")
  (folder / "config.json").write_text('{"model_type": "bert"}')
  if config is not None:
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
  return folder


BERT = {"tokenizer_class": "BertTokenizer"}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "words",
  [
    ["Bill", "joins", "Acme", "a", "b", "c", "Bill"],
    ["Ann", "Ann", "joins"],
    ["a", "b", "[CLS]"],
  ],
)
def test_a_token_in_two_lines_is_refused(tmp_path, words):
  folder = write_vocabulary(tmp_path, words)
  with pytest.raises(ValueError, match="a token of its own for each id"):
    Tokenizer.load(folder)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("words", "config", "message"),
  [
    (["Acme", "Ann", "joins"], None, "2 words with capitals, such as 'Acme'"),
    (["A", "a", "b"], BERT | {"do_lower_case": True}, "such as 'A'"),
    (["A", "a", "Acme"], BERT | {"do_lower_case": False}, ""),
    (["a", "b", "acme"], BERT | {"do_lower_case": False}, "has no capitals"),
    (["a", "b", "acme"], None, ""),
  ],
)
def test_a_vocabulary_of_another_case_than_texts_is_warned_of(
  tmp_path, caplog, words, config, message
):
  Tokenizer.load(write_vocabulary(tmp_path, words, config))
  assert message in caplog.text
  assert bool(message) == any("do_lower_case" in x for x in caplog.messages)


@pytest.mark.silent_input
def test_unknown_words_are_counted(tokenizer):
  words = ["Bill", "\u0e17\u0e30\u0e40\u0e25", "a\u0e17-\u0e17", "\u200b"]
  encoded = tokenizer.encode(words, (0, 1), (3, 4), 80)
  # A word without pieces is [UNK] where an entity would be empty.
  assert tokenizer.num_unknown(encoded) == 3


@pytest.mark.silent_input
@pytest.mark.parametrize("other", ["[UNK]", "[MASK]", "a"])
def test_padding_of_another_id_than_0_is_refused(folder, other, tmp_path):
  shutil.copytree(folder, tmp_path / "moved")
  path = tmp_path / "moved" / "tokenizer.json"
  content = json.loads(path.read_text())
  ids = content["model"]["vocab"]
  ids["[PAD]"], ids[other] = ids[other], ids["[PAD]"]
  for token in content["added_tokens"]:
    token["id"] = ids[token["content"]]
  content["added_tokens"].sort(key=lambda token: token["id"])
  path.write_text(json.dumps(content))
  by_id = sorted(ids, key=ids.__getitem__)
  (tmp_path / "moved" / "vocab.txt").write_text("\n".join([*by_id, ""]))
  with pytest.raises(ValueError, match=r"\[PAD\] with id 0, got id [1-9]"):
    Tokenizer.load(tmp_path / "moved")
