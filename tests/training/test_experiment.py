"""A config and a dataset that do not fit are refused, naming both sides."""

import json
import shutil

import jax
import pytest
import tiny_run

from ifa_jax.data import schema
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.training import epochs
from ifa_jax.training.config import checks
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.epochs import train_rows

SHA = "5" * 64
OTHER = "6" * 64
# What `data_prep.mnre` says of a dataset for the tiny model.
METADATA = {
  "format_version": schema.FORMAT_VERSION,
  "protocol": "clean",
  "text_len": 40,
  "relations": ["None", *(f"/r/{i}" for i in range(1, 10))],
  "tokenizer": {"name": "made_up", "vocab_size": 813, "sha256": SHA},
  **tiny_run.GEOMETRY,
}


def check(dataset=None, **changes):
  """Checks the tiny config, with changes, against the metadata, likewise."""
  config = tiny_run.tiny_run_config("data", **changes)
  metadata = tiny_run.merged(METADATA, dataset or {})
  prepared = schema.Prepared("data/mnre/clean/2.0.0", metadata, {})
  checks.check_dataset(prepared, RunConfig.from_dict(config))


def test_what_fits_is_taken():
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
    ({"text_len": 80}, "data.text_len", 40, 80),
    ({"relations": ["None", "/r/1"]}, "model.num_relations", 10, 2),
  ],
)
def test_a_dataset_for_another_model_is_refused(
  dataset, setting, wanted, found
):
  with pytest.raises(ValueError, match=setting) as error:
    check(dataset)
  message = str(error.value)
  assert message.startswith("data/mnre/clean/2.0.0: prepared for ")
  assert f"{found}, but {setting} is {wanted};" in message


def test_a_dataset_for_another_tokenizer_is_refused():
  found = METADATA | {"tokenizer": METADATA["tokenizer"] | {"sha256": OTHER}}
  prepared = schema.Prepared("there", found, {})
  asked = {"tokenizer_sha256": SHA, "tokenizer": "mine"}
  config = tiny_run.tiny_run_config("data", data=asked)
  with pytest.raises(ValueError, match=r"--tokenizer=mine .*--overwr") as error:
    checks.check_tokenizer(prepared, RunConfig.from_dict(config))
  for part in ("'made_up'", "'mine'", SHA[:12], OTHER[:12]):
    assert part in str(error.value)


def test_relations_without_none_in_front_are_refused():
  relations = [*METADATA["relations"][1:], "None"]
  with pytest.raises(
    ValueError, match=r"want None as the first.*, found '/r/1"
  ):
    check({"relations": relations})


@pytest.mark.silent_input
def test_a_relation_in_two_spellings_is_refused():
  relations = [*METADATA["relations"][:-1], "NONE"]
  with pytest.raises(ValueError, match=r"one spelling .* 'None' and 'NONE'"):
    check({"relations": relations})


def test_a_text_model_takes_any_pictures():
  check(
    {"image_size": 224, "patch_size": 16, "num_crops": 9},
    model={"vision": None},
  )


def test_texts_longer_than_the_position_table_are_refused():
  with pytest.raises(ValueError, match=r"max_len 40, found 41"):
    check({"text_len": 41}, data={"text_len": 41})
  check(
    {"text_len": 41}, data={"text_len": 41}, model={"text": {"max_len": 41}}
  )


RELEASED = {"fusion": "released"}


def test_released_fusion_refuses_buckets_unless_it_masks_padding():
  buckets = {"text_buckets": (24, 32)}
  with pytest.raises(ValueError, match=r"want \(\) .* found \(24, 32\)"):
    check(model=RELEASED, data=buckets)
  check(model=RELEASED)
  check(data=buckets)
  masked = {"exchange": {"padding_masked_in_visual": True}}
  check(model=RELEASED | masked, data=buckets)
  check(model=RELEASED | {"vision": None}, data=buckets)


@pytest.fixture(name="dataset")
def folder_of_a_dataset(tmp_path):
  """A dataset as far as its description, in a folder of its own protocol."""
  write_dataset(tmp_path / "clean", METADATA)
  return tmp_path


def write_dataset(folder, metadata):
  folder.mkdir(parents=True)
  lengths = {"train": "40", "val": "13", "test": "17"}
  info = {
    "splits": [{"name": n, "shardLengths": [x]} for n, x in lengths.items()]
  }
  (folder / "metadata.json").write_text(json.dumps(metadata))
  (folder / "dataset_info.json").write_text(json.dumps(info))


def build(data_dir, **changes):
  return tiny_run.build(tiny_run.tiny_run_config(data_dir, **changes))


def test_an_experiment_counts_rows_and_updates(dataset):
  made = build(dataset)
  assert [made.data.num_rows(x) for x in ("train", "dev", "test")] == [
    40,
    13,
    17,
  ]
  assert (made.epochs.length, made.epochs.num_steps) == (4, 8)
  assert build(dataset, train={"max_steps": 5}).epochs.num_steps == 5
  assert build(dataset, train={"max_steps": 50}).epochs.num_steps == 8
  assert made.prepared.relations == METADATA["relations"]
  assert made.prepared.protocol == "clean"


def test_a_schedule_may_count_whole_batches_alone(dataset):
  assert build(dataset).epochs.schedule_steps == 8
  whole = {"whole_batches": True}
  assert build(dataset, optim=whole).epochs.schedule_steps == 6
  short = build(dataset, optim=whole, train={"max_steps": 5})
  assert short.epochs.schedule_steps == short.epochs.num_steps == 5


def test_a_missing_dataset_is_named_with_the_command_that_makes_it(tmp_path):
  with pytest.raises(
    ValueError, match=r"expected a prepared dataset, got none; .*data_prep\.mn"
  ):
    build(tmp_path / "nowhere")


def test_a_dataset_of_another_protocol_is_refused(dataset):
  with pytest.raises(ValueError, match=r"expected protocol released, got clea"):
    build(dataset, data={"protocol": "released"})


def test_two_datasets_to_choose_from_are_refused(dataset):
  shutil.copytree(dataset / "clean", dataset / "again")
  with pytest.raises(ValueError, match=r"got again .*, clean "):
    build(dataset)
  assert build(dataset / "clean").prepared.folder == str(dataset / "clean")


def test_a_dataset_of_another_format_is_refused(tmp_path):
  write_dataset(tmp_path / "old", METADATA | {"format_version": 0})
  with pytest.raises(ValueError, match="expected record format 2, got 0"):
    build(tmp_path)


@pytest.mark.parametrize("section", ["train", "eval"])
def test_a_batch_that_devices_cannot_split_is_refused(
  dataset, monkeypatch, section
):
  changes = {"eval": {"batch_size": 4}}
  changes = tiny_run.merged(changes, {section: {"batch_size": 9}})
  build(dataset, **changes)
  monkeypatch.setattr(jax, "device_count", lambda: 4)
  with pytest.raises(
    ValueError,
    match=rf"{section}\.batch_size: want a multiple of the 4 dev.*, found 9",
  ):
    build(dataset, **changes)


@pytest.mark.parametrize(
  ("changes", "kind", "message"),
  [
    ({"train": {"parallel": "pjit"}}, ValueError, "train.parallel: want one"),
    (
      {"model": {"fusion": "papre"}},
      ValueError,
      "model.fusion: expected one",
    ),
    ({"model": {"fussion": 1}}, KeyError, "did you mean model.fusion"),
    ({"train": {"num_slices": 5}}, ValueError, "divisor of the 12 .* found 5"),
    ({"train": {"num_slices": 0}}, ValueError, "train.num_slices"),
  ],
)
def test_settings_that_cannot_be_are_named(dataset, changes, kind, message):
  with pytest.raises(kind, match=message):
    build(dataset, **changes)


COUNTS = {
  "pictures": 0,
  "missing_pictures": 9,
  "grounded": 0,
  "missing_grounded": 5,
  "detected": 4,
  "missing_detected": 0,
}


@pytest.mark.parametrize(
  ("missing_pixels", "fusion", "fields"),
  [
    ("absent", "paper", ["detected"]),
    ("grey", "paper", ["image", "grounded", "detected"]),
    # Its absent crops are tokens that text attends to.
    ("absent", "released", ["grounded", "detected"]),
  ],
)
def test_what_no_row_has_is_not_read(tmp_path, missing_pixels, fusion, fields):
  write_dataset(
    tmp_path / "data",
    METADATA
    | {
      "missing_pixels": missing_pixels,
      "counts": {"train": dict.fromkeys(COUNTS, 0), "val": COUNTS},
    },
  )
  built = build(tmp_path / "data", model={"fusion": fusion})
  assert [name for name, *_ in built.data.geometry.slots] == fields


def test_training_pictures_are_shuffled_as_the_config_says(
  data_dir, monkeypatch
):
  describe = Split.describe

  def in_pairs(split, row):
    return describe(split, row)._replace(img_id=f"{row // 2}.jpg")

  # The generated posts have a picture each.
  monkeypatch.setattr(Split, "describe", in_pairs)

  def pictures(**data):
    built = tiny_run.build(tiny_run.tiny_run_config(data_dir, data=data))
    split = built.data.split("train")
    found = train_rows(built.data, split, built.config.data)
    return split, None if found is None else list(found)

  split, found = pictures()
  assert found is None
  _, found = pictures(visual_shuffle_seed=3)
  names = epochs.pictures(split)
  assert found == list(sampling.visual_shuffle(len(split), 3, own=names))
  _, kept = pictures(visual_shuffle_seed=3, visual_shuffle_keep="count")
  assert kept != found
  rows = [split.describe(row) for row in range(len(split))]
  most = tiny_run.GEOMETRY["num_crops"]
  for row, source in enumerate(kept):
    for name in ("image", "grounded", "detected"):
      one, other = (rows[i].num_squares[name] for i in (row, source))
      assert min(one, most) == min(other, most)
  _, moved = pictures(visual_shuffle_seed=3, visual_shuffle_unit="image")
  assert {(row // 2, source // 2) for row, source in enumerate(moved)} == {
    (row // 2, moved[row] // 2) for row in range(0, len(rows), 2)
  }


@pytest.mark.parametrize(
  ("name", "wanted"), [("unit", "row, image"), ("keep", "nothing, count")]
)
def test_a_shuffle_that_is_none_is_refused(dataset, name, wanted):
  with pytest.raises(ValueError, match=f"expected one of {wanted}, got"):
    build(dataset, data={f"visual_shuffle_{name}": "post"})


@pytest.mark.parametrize(
  ("section", "name"),
  [
    ("train", "batch_size"),
    ("train", "total_epochs"),
    ("train", "log_steps"),
    ("train", "checkpoint_steps"),
    ("eval", "batch_size"),
  ],
)
def test_counts_that_cannot_be(data_dir, section, name):
  config = tiny_run.tiny_run_config(data_dir, **{section: {name: 0}})
  with pytest.raises(
    ValueError, match=rf"{section}\.{name}: expected at least 1"
  ):
    tiny_run.build(config)
