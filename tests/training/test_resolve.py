"""Settings that pretrained encoders decide."""

import dataclasses
import json
import logging

import pytest
import tiny
from converted import asked_for, save

from configs import minilm, mnre, quickstart
from ifa_jax.convert import cache
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import variants
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.slow


def test_a_config_with_random_weights_stays():
  config = asked_for("random")
  assert resolve(config) == config


def test_a_model_with_encoders_must_have_the_setting():
  with pytest.raises(ValueError, match=r"config\.weights: expected encoders"):
    resolve(RunConfig())


def test_weights_give_sizes_and_tokenizer_and_nothing_else(tmp_path, raw_dir):
  source = tiny.tiny_config(fusion="released")
  tokenizer = Tokenizer.load(raw_dir / "tokenizer")
  save(tmp_path / "w", source, tokenizer=tokenizer)
  asked = asked_for(tmp_path / "w", model={"text": {"dropout_rate": 0.25}})
  got = resolve(asked)
  assert got.model.vision == source.vision
  assert got.model.text == dataclasses.replace(
    source.text,
    dropout_rate=0.25,
    attention_dropout_rate=asked.model.text.attention_dropout_rate,
  )
  assert got.model.fusion == "paper"
  assert got.data.tokenizer_sha256 == tokenizer.sha256
  others = {"model": asked.model, "data": asked.data}
  assert dataclasses.replace(got, **others) == asked


def test_a_text_model_stays_one(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w", model={"vision": None})
  assert resolve(asked).model.vision is None


def test_a_system_without_an_encoder_takes_none(tmp_path):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w")
  asked = dataclasses.replace(asked, model=PCNNConfig(vocab_size=9))
  assert resolve(asked) == dataclasses.replace(asked, weights=None)


def test_a_folder_without_weights_is_named(tmp_path):
  with pytest.raises(ValueError, match=f"expected text=.*got '{tmp_path}"):
    resolve(asked_for(tmp_path))


@pytest.mark.parametrize("record", [{"config": []}, {"config": {}}])
def test_a_damaged_record_is_named(tmp_path, record):
  (tmp_path / "config.json").write_text(json.dumps(record))
  with pytest.raises(ValueError, match=r"/config\.json: expected the settings"):
    resolve(asked_for("random"), RunFolder(tmp_path))


def test_no_check_of_the_tokenizer_stays_none(tmp_path, raw_dir):
  tokenizer = Tokenizer.load(raw_dir / "tokenizer")
  save(tmp_path / "w", tiny.tiny_config(), tokenizer=tokenizer)
  asked = asked_for(tmp_path / "w", data={"tokenizer_sha256": ""})
  assert resolve(asked).data.tokenizer_sha256 == ""


def test_the_number_of_crops_is_the_configs_and_other_changes_are_logged(
  tmp_path, caplog
):
  save(tmp_path / "w", tiny.tiny_config())
  asked = asked_for(tmp_path / "w", model={"vision": {"num_crops": 5}})
  with caplog.at_level(logging.INFO, "ifa_jax"):
    got = resolve(asked)
  assert got.model.vision.num_crops == 5
  assert "The encoder decides model.vision: " in caplog.text
  assert "image_size 16 (not 32)" in caplog.text


VARIANTS = [
  (module, variant)
  for module in (minilm, mnre, quickstart)
  for variant in module.VARIANTS
]


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_every_config_names_encoders_or_random_ones(module, variant):
  """No config trains random encoders unless its `weights` is "random"."""
  config = module.get_config(variant).to_dict()
  model = config["model"]
  if model.get("text") is None:
    assert variant == "pcnn"
    return
  if config["weights"] == RANDOM:
    # Toy sizes, without published encoders.
    assert model["text"]["hidden_dim"] == 64
    return
  is_of_pixels = model["system"] in variants.OF_PIXELS
  reads_pixels = is_of_pixels and model["vision"]
  wanted = {"text", "vision"} if reads_pixels else {"text"}
  if module is minilm:
    # All its pictures are constant.
    wanted = {"text"}
  assert {*cache.parse(config["weights"])} == wanted
