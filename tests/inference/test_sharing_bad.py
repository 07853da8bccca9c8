"""Shared folders that are damaged, or of another format or program."""

import json
import shutil

import numpy as np
import pytest
from safetensors import numpy as safetensors

from ifa_jax.files import checksums, params_file
from ifa_jax.inference.predictor import Predictor
from ifa_jax.inference.scenes import PostScenes
from ifa_jax.inference.sharing import record
from ifa_jax.inference.sharing.sources import SharedModel

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="shared")
def shared_model(predictor, fast_compilation, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sharing") / "shared"
  predictor.save_pretrained(folder)
  return folder


@pytest.fixture(name="copy")
def copy_to_damage(shared, tmp_path):
  return shutil.copytree(shared, tmp_path / "copy")


def refused(folder, message):
  """Loading fails with one line that has the message."""
  with pytest.raises(ValueError, match=message) as caught:
    Predictor.from_pretrained(folder)
  assert "\n" not in str(caught.value)
  assert str(folder) in str(caught.value)


def cut(path):
  path.write_bytes(path.read_bytes()[:-100])


def flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize(
  "name", ["model.safetensors", "tokenizer/tokenizer.json"]
)
def test_a_damaged_file_is_named(copy, name, damage):
  damage(copy / name)
  refused(copy, f"{name}: expected CRC32C .* got ")


@pytest.mark.parametrize(
  "name", ["model.safetensors", "tokenizer/tokenizer.json", "crc32c.json"]
)
def test_a_missing_file_is_named(copy, name):
  (copy / name).unlink()
  refused(copy, f"{name}: expected .*, got no")


def test_a_folder_without_its_tokenizer_is_refused(copy):
  shutil.rmtree(copy / "tokenizer")
  refused(copy, r"tokenizer/tokenizer.json: expected a file of this model")


@pytest.mark.parametrize(
  "listed", ["[]", "{}", "5", "{", '{"model.safetensors": 1}']
)
def test_checksums_of_another_form_are_refused(copy, listed):
  (copy / "crc32c.json").write_text(listed)
  refused(copy, r"(crc32c.json|model.safetensors): ")


def test_a_folder_without_settings_is_refused(copy):
  (copy / "config.json").unlink()
  refused(copy, "config.json: expected the settings of a shared model, got no")


def test_a_folder_of_something_else_is_no_model(tmp_path):
  refused(tmp_path, "expected a run's folder with a config.json")


REMOVED = object()


@pytest.mark.parametrize(
  ("place", "value", "message"),
  [
    ("format_version", 2, "format_version: expected 1, got 2"),
    ("format_version", REMOVED, "expected the key 'format_version', got none"),
    ("library_name", "timm", "library_name: expected 'ifa_jax', got 'timm'"),
    ("color", "red", "'color' in addition"),
    ("data.color", "red", "'color' in addition"),
    ("relations", REMOVED, "expected the key 'relations', got none"),
    ("data.text_len", REMOVED, "data: expected the key 'text_len'"),
    ("data.text_len", 0, "text_len: expected a number of tokens, got 0"),
    ("image_size", True, "image_size: expected a number of pixels"),
    ("protocol", "dirty", "protocol: expected one of released, clea"),
    ("relations", ["None"], "relations: expected 10 names, got 1"),
    ("relations", ["a"] * 10, "relations: expected a list of different names"),
    ("trained_with", ["sounds"], "trained_with: expected a list of"),
    ("data.text_buckets", [-1], "text_buckets: expected a list of l"),
    ("step", -1, "step: expected a step, got -1"),
    ("model", [], "model: expected an object"),
    ("model.layers", 3, "model.layers: no such setting"),
    ("model.text.num_heads", 3, "expected the settings of a model"),
    ("model.text", "big", "expected the settings of a model"),
    ("model.system", "gpt", "model.system: expected one of"),
    ("training", None, "training: expected an object"),
  ],
)
def test_other_settings_are_refused(copy, place, value, message):
  config = json.loads((copy / "config.json").read_text())
  *parents, key = place.split(".")
  section = config
  for parent in parents:
    section = section[parent]
  if value is REMOVED:
    del section[key]
  else:
    section[key] = value
  (copy / "config.json").write_text(json.dumps(config))
  refused(copy, rf"config\.json.*: .*{message}")


@pytest.mark.parametrize("text", ["{", "[]", "\xff", "[" * 100_000])
def test_settings_that_are_no_json_object_are_refused(copy, text):
  (copy / "config.json").write_bytes(text.encode("latin1"))
  refused(copy, r"config\.json: ")


LIKE = {"a": {"b": np.zeros((2, 3), np.float32)}, "c": np.zeros(1, np.float32)}
TENSORS = {"a.b": LIKE["a"]["b"], "c": LIKE["c"]}
BAD_TENSORS = {
  "missing": ({"c": TENSORS["c"]}, "expected 2 tensors, got none named a.b"),
  "extra": (
    TENSORS | {"d": TENSORS["c"]},
    "expected 2 tensors, got 'd' in add",
  ),
  "turned": (
    TENSORS | {"a.b": np.zeros((3, 2), np.float32)},
    r"a.b: expected \('F32', \(2, 3\)\), got \('F32', \(3, 2\)\)",
  ),
  "half": (
    TENSORS | {"c": np.zeros(1, np.float16)},
    r"c: expected \('F32', \(1,\)\), got \('F16', \(1,\)\)",
  ),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_other_tensors_are_refused(tmp_path, name):
  found, message = BAD_TENSORS[name]
  path = tmp_path / "model.safetensors"
  safetensors.save_file(found, path)
  with pytest.raises(ValueError, match=f"model.safetensors: {message}"):
    params_file.read(path, LIKE)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 50, b"PK\x03"])
def test_a_file_of_another_format_is_refused(tmp_path, content):
  path = tmp_path / "model.safetensors"
  path.write_bytes(content)
  with pytest.raises(
    ValueError, match=r"safetensors: expected .* got none tha"
  ):
    params_file.read(path, LIKE)


def test_tensors_of_another_model_are_refused(copy):
  config = json.loads((copy / "config.json").read_text())
  config["model"]["text"]["mlp_dim"] = 64
  (copy / "config.json").write_text(json.dumps(config))
  message = r"model.safetensors: text.layer_0.*: expected .*, got .*\)"
  refused(copy, message)


def test_what_is_added_to_a_folder_does_no_harm(copy, posts):
  wanted = Predictor(copy).predict(posts[0])
  (copy / "README.md").write_text("# Another card")
  (copy / ".gitattributes").touch()
  assert Predictor(copy).predict(posts[0]) == wanted


def test_a_training_record_of_another_form_keeps_the_card_from_being_written(
  copy, tmp_path
):
  config = json.loads((copy / "config.json").read_text())
  config["training"] = {}
  (copy / "config.json").write_text(json.dumps(config))
  with pytest.raises(
    ValueError, match=r"config\.json: expected the training rec"
  ):
    Predictor(copy).save_pretrained(tmp_path / "again")
  assert not (tmp_path / "again").exists()


def test_checksums_do_not_stand_for_the_settings(copy):
  listed = json.loads((copy / checksums.FILE).read_text())
  assert record.FILE not in listed
  assert params_file.FILE in listed
  with pytest.raises(ValueError, match="expected step 99, got"):
    SharedModel(copy).load(99)


MANIFEST = {
  "features": {"kind": "pixels", "side": 8, "dim": 192},
  "thresholds": {"object": 0.2},
  "parser": "chain",
}


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("features", [], "features: expected those of an encoder"),
    (
      "features",
      {"kind": "pixels", "dim": 3},
      "expected the encoder of the run's",
    ),
    ("thresholds", None, "thresholds: expected an object with a number"),
    ("parser", 3, "parser: expected"),
    ("parser", "spacy 3.8, /tmp/code 1.0", "parser: expected"),
    ("parser", "spacy 3.8, os 1.0", "parser: expected"),
    ("num_objects", "36", "num_objects: expected"),
  ],
)
def test_a_strangers_scenes_name_nothing_but_a_parser(key, value, message):
  assert PostScenes(MANIFEST, "folder").heads(["a"]) is None
  with pytest.raises(ValueError, match=f"folder.*{message}|{message}"):
    PostScenes(MANIFEST | {key: value}, "folder")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_checksums_of_files_elsewhere_are_refused(copy, name):
  path = copy / "crc32c.json"
  listed = json.loads(path.read_text())
  path.write_text(json.dumps(listed | {name: "00000000"}))
  refused(copy, r"crc32c\.json: expected files in this folder")
