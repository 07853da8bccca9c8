"""Scores of runs with changed objects, compared with plain computations."""

import json
import pathlib
import shutil

import numpy as np
import own_runs
import pytest
import tiny_run
import tiny_systems
from changed_objects import (
  NUM_ROWS,
  apart,
  predict,
  repeats_of,
  whole_split,
  written,
)

from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.objects import attention, command, found
from ifa_jax.data.pipeline import sampling
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

# Files have six digits.
TOLERANCE, DIFFERENT = 1e-5, 1e-4
NAMES = ["standard", "no objects", "without repeats", "doubled", "exchanged"]


@pytest.fixture(scope="module", name="crops")
def table_of_a_model_of_pixels(finished, tmp_path_factory, fast_compilation):
  """Returns the folder and the table; every two boxes that touch repeat."""
  folder = RunFolder(tmp_path_factory.mktemp("objects") / "run")
  shutil.copytree(finished.workdir, folder.path)
  # As of an earlier command with more permutations.
  pathlib.Path(folder.file("objects/exchanged_2")).mkdir(parents=True)
  table = command.objects_table(finished.experiment, folder, 0.0, num_seeds=2)
  return folder, table


@pytest.fixture(scope="module", name="regions")
def table_of_mega(data_dir, tmp_path_factory, fast_compilation):
  """Returns the experiment, its parameters, the scenes, folder and table."""
  scenes = tmp_path_factory.mktemp("scenes")
  by_picture, _ = tiny_systems.write_scenes(scenes, data_dir)
  built = tiny_systems.build("mega", data_dir, scenes)
  params = tiny_systems.params(built)
  folder = RunFolder(tmp_path_factory.mktemp("mega") / "run")
  own_runs.write(built, params, folder.path)
  table = command.objects_table(built, folder, num_seeds=1)
  return built, params, by_picture["test"], folder, table


def test_the_crops_of_a_model_of_pixels(finished, crops):
  table = crops[1]
  assert [row["condition"] for row in table["rows"]] == NAMES
  assert (table["protocol"], table["n"]) == ("clean", NUM_ROWS)
  split = finished.experiment.data.split("test")
  seen = finished.experiment.data.num_seen(split)
  assert table["objects"]["objects"] == sum(sum(x[1:]) for x in seen)
  assert table["objects"]["with_box"] == table["objects"]["objects"]
  assert table["objects"]["with_label"] == 0
  own = json.loads((finished.workdir / "eval_test.json").read_text())
  assert table["rows"][0]["scores"]["f1"]["by_seed"] == [own["f1"]]
  assert json.loads(json.dumps(table)) == table


def test_predictions_without_crops_and_with_those_of_others(finished, crops):
  built, folder = finished.experiment, crops[0]
  params = alignment_split.load_best(folder).params
  bare = whole_split(built)
  for field in ("grounded_mask", "detected_mask"):
    bare = bare.replace(**{field: np.zeros_like(getattr(bare, field))})
  without = written(folder, "no_objects")
  assert apart(without, predict(built, params, bare)) < TOLERANCE
  standard = written(folder, "standard")
  assert apart(standard, without) > DIFFERENT
  names = pictures(built.data.split("test"))
  for seed in range(2):
    rows = sampling.visual_shuffle(NUM_ROWS, seed, own=names)
    own, other = (
      whole_split(built),
      whole_split(built, rows),
    )
    mixed = other.replace(image=own.image, image_mask=own.image_mask)
    exchanged = written(folder, f"exchanged_{seed}")
    assert apart(exchanged, predict(built, params, mixed)) < TOLERANCE
    # It differs from both of its parts.
    assert apart(exchanged, standard) > DIFFERENT
    assert apart(exchanged, predict(built, params, other)) > DIFFERENT
  assert len([*pathlib.Path(folder.file("objects")).glob("exchanged_*")]) == 2


def test_the_objects_of_scenes(regions):
  built, params, scenes, folder, table = regions
  names = pictures(built.data.split("test"))
  batch = whole_split(built)
  wanted = [
    repeats_of(scenes[name], min(scenes[name].num_objects, 3)) for name in names
  ]
  counts = table["objects"]
  assert counts["objects"] == counts["with_label"] == sum(map(len, wanted))
  assert counts["repeats"] == sum(map(sum, wanted)) > 3
  assert counts["rows_with_repeats"] == sum(map(any, wanted))
  gone = [np.zeros_like(x) for x in (batch.regions, batch.alignment)]
  boxes, mask = np.zeros_like(batch.region_boxes), batch.region_mask & False
  for row, flags in enumerate(wanted):
    for to, slot in enumerate(np.flatnonzero(~np.array(flags, bool))):
      gone[0][row, to] = batch.regions[row, slot]
      gone[1][row, :, to] = batch.alignment[row, :, slot]
      boxes[row, to], mask[row, to] = batch.region_boxes[row, slot], True
  changed = batch.replace(
    regions=gone[0], alignment=gone[1], region_boxes=boxes, region_mask=mask
  )
  without = written(folder, "without_repeats")
  assert apart(without, predict(built, params, changed)) < TOLERANCE
  assert apart(without, written(folder, "standard")) > DIFFERENT


def test_the_attention_to_repeats(regions):
  built, params, scenes, _, table = regions
  split, batch = built.data.split("test"), whole_split(built)
  names = pictures(split)
  output = built.model.apply({"params": params}, batch, capture=True)
  by_map = np.asarray(output.region_weights, np.float64)
  maps = {"structural": by_map[0], "semantic": by_map[1]}
  maps["structural + semantic"] = by_map.sum(axis=0)
  assert table["attention"]["maps"].keys() == maps.keys()
  for title, weights in maps.items():
    drawn, number = [], []
    for row in range(NUM_ROWS):
      scene = scenes[names[row]]
      flags = repeats_of(scene, min(scene.num_objects, 3))
      if not any(flags):
        continue
      owners = np.array(split.describe(row).encoded.word_ids)
      words = [w for w in {*owners.tolist()} if w >= 0]
      rows = weights[row, : len(owners)]
      of_words = np.mean([rows[owners == w].sum(axis=0) for w in words], axis=0)
      of_objects = of_words[: len(flags)]
      total = of_objects.sum()
      drawn.append(of_objects[flags].sum() / total if total else 0)
      number.append(np.mean(flags))
    result = table["attention"]["maps"][title]
    assert table["attention"]["rows"] == len(drawn)
    assert table["attention"]["of_number"] == pytest.approx(np.mean(number))
    assert result["of_attention"] == pytest.approx(np.mean(drawn), abs=1e-5)
    mean = np.mean(drawn) - np.mean(number)
    assert result["low"] <= mean <= result["high"]


def test_the_attention_to_crops(finished, crops):
  built, folder = finished.experiment, crops[0]
  split, batch = built.data.split("test"), whole_split(built)
  objects = found.read(built, split, 0.7)
  for field, present in objects.present.items():
    objects.repeats[field][:] = present & (np.arange(2) == 1)
  result = attention.of_repeats(built, folder, split, objects)
  params = alignment_split.load_best(folder).params
  output = built.model.apply({"params": params}, batch, capture=True)
  weights = np.asarray(output.text_attention, np.float64).mean(axis=0)
  # [CLS], 4 x 4 patches of the picture and of each grounded crop, then 2 x 2.
  keys = {"grounded": (17, 16), "detected": (49, 4)}
  drawn = []
  for row in range(NUM_ROWS):
    owners = np.array(split.describe(row).encoded.word_ids)
    words = [w for w in {*owners.tolist()} if w >= 0]
    rows = weights[row, : len(owners)]
    of_words = np.mean([rows[owners == w].mean(axis=0) for w in words], axis=0)
    sums = {True: 0.0, False: 0.0}
    for field, (start, size) in keys.items():
      for slot in np.flatnonzero(objects.present[field][row]):
        begin = start + slot * size
        sums[slot == 1] += of_words[begin : begin + size].sum()
    if any(objects.repeats[field][row].any() for field in keys):
      drawn.append(sums[True] / (sums[True] + sums[False]))
  assert 1 < len(drawn) == result["rows"]
  mean = result["maps"]["mean over layers"]["of_attention"]
  assert mean == pytest.approx(np.mean(drawn), abs=1e-5)


def test_the_whole_picture_of_a_pyramid_is_no_object(
  data_dir, tmp_path, regions
):
  scenes = tmp_path / "scenes"
  shutil.copytree(regions[0].config.data.scenes, scenes)
  for path in scenes.glob("*.json"):
    manifest = json.loads(path.read_text())
    manifest["features"] = {"kind": "pyramid"}
    path.write_text(json.dumps(manifest))
  built = tiny_systems.build("mega", data_dir, scenes)
  objects = found.read(built, built.data.split("test"), 0.7)
  assert objects.kept == 1
  assert {item.slot for row in objects.rows for item in row} == {1, 2}


def test_the_report_names_what_is_not_known(crops, regions):
  lines = [*command._lines(regions[-1])]
  assert "mislabelled objects are left out" in lines[-1]
  assert lines[2].startswith("attention in ")
  assert [line.split(":")[0] for line in lines[3:6]] == [
    "structural + semantic",
    "structural",
    "semantic",
  ]
  missing = crops[1] | {"attention": {"missing": "no map"}}
  assert [*command._lines(missing)][
    2
  ] == "attention to repeats is left out: no map"
  cells = command._cells(crops[1])
  assert [line[0] for line in cells] == NAMES
  assert cells[0][1] == cells[0][-1] == ""
  assert {len(line) for line in cells} == {len(command.COLUMNS)}


def test_a_model_whose_maps_name_no_object_has_no_attention(
  data_dir, tmp_path, regions
):
  scenes = regions[0].config.data.scenes
  built = tiny_systems.build("bert_sg", data_dir, scenes)
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  split = built.data.split("test")
  objects = found.read(built, split, 0.7)
  result = attention.of_repeats(
    built, RunFolder(tmp_path / "run"), split, objects
  )
  assert "sums its objects" in result["missing"]


@pytest.mark.silent_input
def test_a_run_without_objects_is_refused(data_dir, tmp_path):
  config = tiny_run.tiny_run_config(data_dir, model={"vision": None})
  text = tiny_run.build(config)
  with pytest.raises(ValueError, match="run: expected a model that reads obj"):
    command.objects_table(text, RunFolder(tmp_path / "run"))
  bare = tiny_systems.build("mega", data_dir)
  with pytest.raises(ValueError, match=r"run: data.scenes: expected a dir"):
    command.objects_table(bare, RunFolder(tmp_path / "run"))
