"""Encoders of the setting `weights` are converted once and cached."""

import pathlib
import shutil
import threading
from concurrent import futures

import hf_models
import pytest
from flax import traverse_util

from ifa_jax.convert import cache, sources, store
from ifa_jax.convert.huggingface import conversion
from ifa_jax.training import pretrained

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  cache.locate.cache_clear()
  yield
  cache.locate.cache_clear()


def test_a_setting_names_encoders_or_a_folder():
  both = {"text": "bert-base-uncased", "vision": "openai/clip"}
  assert cache.parse("text=bert-base-uncased,vision=openai/clip") == both
  assert cache.parse("vision=a,text=b") == {"vision": "a", "text": "b"}
  assert cache.parse("weights/text=1") == {}


@pytest.mark.parametrize("wrong", ["bert-base-uncased", "weights/clip", "rnd"])
def test_a_folder_without_weights_is_refused(wrong):
  with pytest.raises(ValueError, match=f"or random, got '{wrong}'"):
    cache.locate(wrong)


@pytest.mark.parametrize(
  "wrong", ["text=a,txet=b", "text=a,text=b", "text=", "text=a,b", "vision=a,"]
)
def test_a_misspelt_setting_is_refused(wrong):
  with pytest.raises(ValueError, match="weights: expected text=ENCODER,"):
    cache.parse(wrong)


def test_a_random_encoder_is_left_out():
  with pytest.raises(
    ValueError, match=r"vision: .* got random; omit vision= to"
  ):
    cache.parse("text=a,vision=random")


@pytest.fixture(name="encoders")
def two_encoders(tmp_path):
  bert, clip = tmp_path / "bert", tmp_path / "clip"
  hf_models.save(bert, "BertModel")
  hf_models.save(clip, "CLIPVisionModel")
  return {"text": str(bert), "vision": str(clip)}


def setting(encoders):
  return ",".join(f"{side}={folder}" for side, folder in encoders.items())


def test_the_cache_equals_a_conversion(encoders):
  folder = cache.locate(setting(encoders))
  config, params, info = store.load_converted(folder)
  made = conversion.convert(**encoders)
  assert config == made.model_config
  got, wanted = (
    traverse_util.flatten_dict(tree, sep="/") for tree in (params, made.params)
  )
  assert got.keys() == wanted.keys()
  assert all((got[path] == wanted[path]).all() for path in wanted)
  assert info["sources"]["text"]["name"] == encoders["text"]


@pytest.mark.silent_input
def test_every_process_logs_the_notes_of_an_encoder(encoders, caplog):
  """Not only the one that converts it."""
  processor = pathlib.Path(encoders["vision"], "preprocessor_config.json")
  hf_models.change_json(processor, size=16, resample=2)
  for _ in range(2):
    caplog.clear()
    cache.locate.cache_clear()
    cache.locate(setting(encoders))
    assert "preprocessor_config.json has them resized to" in caplog.text
    assert "text: no tokenizer.json or vocab.txt" in caplog.text


def test_the_same_files_are_converted_once(encoders, tmp_path, monkeypatch):
  first = cache.locate(setting(encoders))
  monkeypatch.setattr(store, "save_converted", None)
  moved = {side: f"{folder}-moved" for side, folder in encoders.items()}
  for side, folder in encoders.items():
    shutil.move(folder, moved[side])
  assert cache.locate(setting(moved)) == first


@pytest.mark.parametrize("changed", ["weights", "config.json"])
def test_other_files_of_the_same_name_are_converted_again(encoders, changed):
  first = cache.locate(setting(encoders))
  if changed == "weights":
    hf_models.save(encoders["text"], "BertModel", seed=1)
  else:
    settings = pathlib.Path(encoders["text"], "config.json")
    hf_models.change_json(settings, layer_norm_eps=1e-6)
  cache.locate.cache_clear()
  assert cache.locate(setting(encoders)) != first


def test_an_interrupted_conversion_is_repeated(encoders, monkeypatch):
  def fail(folder, *_):
    folder.parent.mkdir(parents=True, exist_ok=True)
    raise KeyboardInterrupt

  with monkeypatch.context() as patched:
    patched.setattr(store, "save_converted", fail)
    with pytest.raises(KeyboardInterrupt):
      cache.locate(setting(encoders))
  assert store.is_converted(cache.locate(setting(encoders)))


def test_simultaneous_starts_convert_once(encoders, monkeypatch):
  converting, waiting = [], threading.Barrier(2)
  find, save = cache._find, store.save_converted

  def find_together(side, named):
    found = find(side, named)
    if side == "vision":
      waiting.wait(timeout=60)
    return found

  def counted(folder, *converted):
    converting.append(folder)
    save(folder, *converted)

  monkeypatch.setattr(cache, "_find", find_together)
  monkeypatch.setattr(store, "save_converted", counted)
  with futures.ThreadPoolExecutor(2) as pool:
    folders = {*pool.map(cache.locate, [setting(encoders)] * 2)}
  assert [str(folder) for folder in converting] == [*folders]


def test_an_unreachable_encoder_gives_advice(monkeypatch):
  def fetch(hub_id):
    raise OSError(f"no route to {hub_id}")

  monkeypatch.setattr(sources, "_fetch", fetch)
  with pytest.raises(ValueError, match=r"weights: text encoder") as caught:
    cache.locate("text=bert-base-uncased,vision=openai/clip")
  (line,) = str(caught.value).splitlines()
  for words in (
    "bert-base-uncased: neither a folder nor a model",
    "no route to bert-base-uncased",
    "hf download bert-base-uncased",
    "--config.weights=text=FOLDER,vision=FOLDER",
    "--config.weights=random",
  ):
    assert words in line


def test_a_missing_folder_gives_no_advice_on_downloads():
  with pytest.raises(ValueError, match="no such folder; name fold") as caught:
    cache.locate("text=/no/such/folder")
  assert "download" not in str(caught.value)


def test_a_missing_shard_gives_advice(encoders):
  folder = pathlib.Path(encoders["text"])
  (folder / "model.safetensors").unlink()
  index = folder / "model.safetensors.index.json"
  hf_models.change_json(index, weight_map={"a": "part-1.safetensors"})
  with pytest.raises(ValueError, match=r"part-1.*no such file.*=random$"):
    cache.locate(setting(encoders))


def test_a_cache_that_cannot_be_written_is_named(encoders, monkeypatch):
  def refuse(*_, **__):
    raise PermissionError("read-only")

  monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
  with pytest.raises(ValueError, match=r"read-only\); XDG_CACHE_HOME=FOLDER"):
    cache.locate(setting(encoders))


def test_the_origin_is_named_as_in_the_setting(encoders):
  named = setting(encoders)
  provenance = {"sources": {"text": {"name": "elsewhere"}}}
  found = pretrained._source_names(provenance, named)
  assert found["text"] == found["pooler"] == encoders["text"]
  assert pretrained._source_names(provenance, "w")["text"] == "elsewhere"
