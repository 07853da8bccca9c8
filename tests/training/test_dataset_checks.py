"""A dataset that does not fit the config is refused; both sides are named."""

import pytest
import tiny_run
from dataset_metadata import METADATA, OTHER, SHA

from configs import quickstart
from ifa_jax.data import schema
from ifa_jax.training import experiment
from ifa_jax.training.config import dataset_settings
from ifa_jax.training.config.run_config import RunConfig


def check(dataset=None, **changes):
  """Checks the tiny config, with changes, against the metadata, likewise."""
  config = tiny_run.tiny_run_config("data", **changes)
  metadata = tiny_run.merged(METADATA, dataset or {})
  prepared = schema.Prepared("data/mnre/clean/2.0.0", metadata, {})
  experiment.check_dataset(prepared, RunConfig.from_dict(config))


def test_a_matching_dataset_is_accepted():
  check()
  check(data={"tokenizer_sha256": SHA})
  check({"tokenizer": {"sha256": OTHER, "name": "another"}})


@pytest.mark.parametrize(
  ("dataset", "setting", "wanted", "found"),
  [
    ({"tokenizer": {"vocab_size": 900}}, "model.text.vocab_size", 813, 900),
    ({"patch_size": 16}, "model.vision.patch_size", 8, 16),
    ({"image_size": 224}, "model.vision.image_size", 32, 224),
    ({"num_crops": 3}, "model.vision.num_crops", 2, 3),
    ({"resize": "squash"}, "model.vision.resize", "fit", "squash"),
    ({"text_len": 32}, "data.text_len", 40, 32),
    ({"relations": ["None", "/r/1"]}, "model.num_relations", 10, 2),
  ],
)
def test_a_dataset_for_another_model_is_refused(
  dataset, setting, wanted, found
):
  with pytest.raises(ValueError, match=setting) as error:
    check(dataset)
  message = str(error.value)
  assert message.startswith(f"{setting}: expected {found}, as data/mnre/clean")
  assert f"(with the tokenizer 'made_up'), got {wanted}; " in message
  assert message.endswith(f"set --config.{setting}={found}")
  prepares = "; prepare it again: python -m data_prep.mnre" in message
  assert prepares == (setting != "model.num_relations")


def test_a_length_that_the_model_cannot_have_is_not_offered():
  with pytest.raises(ValueError, match=r"text_len: .* --overwrite$"):
    check({"text_len": 80})


def test_the_command_reads_the_files_of_the_dataset_again():
  dataset = {
    "text_len": 80,
    "format": {"name": "jsonl"},
    "missing_pixels": "absent",
    "boxes": None,
  }
  flags = "--format=jsonl --missing_pixels=absent"
  with pytest.raises(ValueError, match=rf"{flags} --overwrite$"):
    check(dataset)


def test_the_command_names_captions_only_if_they_were_in_files():
  config = RunConfig.from_dict(quickstart.get_config("caption").to_dict())
  of_rows = {"captions": {"caption_len": 8, "sha256": []}}
  of_files = {"captions": {"caption_len": 8, "sha256": [SHA]}}
  assert "--captions" not in dataset_settings.command(config, of_rows)
  assert "--captions=captions.json" in dataset_settings.command(
    config, of_files
  )


def test_the_command_names_the_files_of_fewrel():
  config = RunConfig.from_dict(quickstart.get_config("text").to_dict())
  form = {"name": "fewrel", "train_files": ["a.json", "b.json"]}
  form |= {"val_files": [], "split": [80, 10, 10], "seed": 0}
  command = dataset_settings.command(config, {"format": form})
  flags = " --format=fewrel --train_files=a.json,b.json --split=80,10,10"
  assert flags in command
  assert "val_files" not in command
  assert "seed" not in command


def test_sizes_of_an_encoder_are_named_as_such():
  command = r"--resize=squash --boxes=boxes\.json --overwrite"
  squash = {"vision": {"resize": "squash"}}
  with pytest.raises(
    ValueError, match=rf"{command} \(--config.weights decides it\)$"
  ):
    check(weights="folder", model=squash)
  with pytest.raises(ValueError, match=rf"{command}, or set .*=fit$"):
    check(weights="text=folder", model=squash)
  with pytest.raises(ValueError, match=r"num_crops=3$"):
    check({"num_crops": 3}, weights="folder")


def test_a_dataset_for_another_tokenizer_is_refused():
  found = METADATA | {"tokenizer": METADATA["tokenizer"] | {"sha256": OTHER}}
  prepared = schema.Prepared("there", found, {})
  asked = {"tokenizer_sha256": SHA, "tokenizer": "mine"}
  config = tiny_run.tiny_run_config("data", data=asked)
  with pytest.raises(ValueError, match=r"--tokenizer=mine .*--overwr") as error:
    experiment.check_tokenizer(prepared, RunConfig.from_dict(config))
  for part in ("'made_up'", "'mine'", SHA[:12], OTHER[:12]):
    assert part in str(error.value)


def test_relations_without_none_in_front_are_refused():
  relations = [*METADATA["relations"][1:], "None"]
  with pytest.raises(
    ValueError, match=r"expected None as the first.*, got '/r/1"
  ):
    check({"relations": relations})


@pytest.mark.silent_input
def test_a_relation_in_two_spellings_is_refused():
  relations = [*METADATA["relations"][:-1], "NONE"]
  with pytest.raises(ValueError, match=r"one spelling .* 'None' and 'NONE'"):
    check({"relations": relations})


def test_a_text_model_takes_any_pictures():
  check(
    {"image_size": 224, "patch_size": 16, "num_crops": 9, "resize": "squash"},
    model={"vision": None},
  )


def test_texts_longer_than_the_position_table_are_refused():
  with pytest.raises(ValueError, match=r"max_len 40, got 41"):
    check({"text_len": 41}, data={"text_len": 41})
  check(
    {"text_len": 41}, data={"text_len": 41}, model={"text": {"max_len": 41}}
  )


RELEASED = {"fusion": "released"}


def test_released_fusion_refuses_buckets_unless_it_masks_padding():
  buckets = {"text_buckets": (24, 32)}
  with pytest.raises(ValueError, match=r"expected \(\) .* got \(24, 32\)"):
    check(model=RELEASED, data=buckets)
  check(model=RELEASED)
  check(data=buckets)
  masked = {"padding_masked_in_visual": True, "raw_first_layer": False}
  check(model=RELEASED | {"exchange": masked}, data=buckets)
  check(model=RELEASED | {"vision": None}, data=buckets)
