"""The preparation benchmark: its tree lacks nothing, its figures are right."""

import io
import json
import os
import sys

import numpy as np
import pytest
import raw_tree
from PIL import Image

from benchmarks import input_pipeline, photo_tree, photos, preparation
from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.pipeline.cache import PLACES
from ifa_jax.preparation.mnre.plan import Planner, Settings


@pytest.fixture(autouse=True)
def small_photos(monkeypatch):
  monkeypatch.setattr(photo_tree, "PHOTO_SIZE", (80, 60))
  monkeypatch.setattr(photos, "_NUM_SHEETS", 2)


def test_photos_are_distinct_and_hard_to_compress():
  made = photos.Photos((120, 90), seed=1)
  files = [made.make(number) for number in range(3)]
  assert files[0] == photos.Photos((120, 90), seed=1).make(0)
  assert len({*files}) == 3
  picture = Image.open(io.BytesIO(files[0])).convert("RGB")
  assert picture.size == (120, 90)
  square = decode.fit(picture, 64)
  assert len(decode.encode_png(square)) > 0.4 * square.size
  # Several colours and frequencies: neither flat nor white noise.
  pixels = np.asarray(picture, float)
  steps = np.abs(np.diff(pixels, axis=1)).mean()
  assert 3 < steps < 0.6 * pixels.std()


def plans_of(tree, tokenizer):
  """Returns what each row of a tree becomes; missing pictures are refused."""
  settings = Settings(
    raw_dir=tree.raw_dir,
    data_dir="",
    protocol="clean",
    boxes=tree.boxes,
    tokenizer=tokenizer,
  )
  planner = Planner(settings)
  return {split: list(planner.plans(split)) for split in schema.SPLITS}


def check_nothing_is_missing(plans):
  for plan in (plan for split in plans.values() for plan in split):
    assert plan.missing == ()
    numbers = [len(plan.squares[kind]) for kind in schema.PICTURES]
    assert numbers == [1, 3, 3]
    picture = decode.open_picture(plan.picture)
    for kind in ("grounded", "detected"):
      for crop in plan.squares[kind]:
        decode.cut(picture, crop.edges)


def test_a_generated_tree_has_as_many_rows_and_pictures_as_are_asked_for(
  tmp_path,
):
  num_rows = photo_tree.share_out(40)
  assert num_rows == {"train": 32, "val": 4, "test": 4}
  tree = photo_tree.make(str(tmp_path), None, num_rows, 25)
  plans = plans_of(tree, tree.tokenizer)
  assert {split: len(found) for split, found in plans.items()} == num_rows
  check_nothing_is_missing(plans)
  names = {plan.row.img_id for found in plans.values() for plan in found}
  # A picture may be counted in two splits.
  assert 25 <= len(names) <= 27
  assert tree.num_generated == len(names)


def test_pictures_of_a_published_tree_are_kept(tmp_path):
  own = raw_tree.jpeg(64, 48, seed=5)
  rows = [raw_tree.row(), raw_tree.row("Rome , Bill", (0, 1), (2, 3), "b.jpg")]
  source = raw_tree.write_tree(tmp_path / "raw", rows, {"train/a.jpg": own})
  tokenizer = raw_tree.write_tokenizer(tmp_path / "tokenizer")
  folder = tmp_path / "tree"
  tree = photo_tree.make(str(folder), source, {}, 0)
  assert tree.num_generated == 1
  check_nothing_is_missing(plans_of(tree, tokenizer))
  kept, made = (
    next(folder.glob(f"img_org/*/{name}.jpg")).read_bytes() for name in "ab"
  )
  assert kept == own
  # Again: what is there is left.
  again = photo_tree.make(str(folder), source, {}, 0)
  assert again == tree
  assert next(folder.glob("img_org/*/b.jpg")).read_bytes() == made


def test_memory_of_all_processes_is_counted():
  code = "x = b'1' * 150_000_000; import time; time.sleep(0.6)"
  child = (
    f"import subprocess as s, sys; s.run([sys.executable, '-c', {code!r}])"
  )
  cost = preparation.run([sys.executable, "-c", f"{child}; {code}"])
  assert 1.2 < cost.seconds < 30
  assert 0 < cost.cpu_seconds < cost.seconds * os.cpu_count()
  # One after the other: not twice.
  assert 150e6 < cost.peak_bytes < 290e6


def test_a_command_that_fails_says_why():
  with pytest.raises(ValueError, match="no such row"):
    preparation.run([sys.executable, "-c", "raise SystemExit('no such row')"])


@pytest.fixture(name="prepared")
def tiny_dataset(data_dir):
  return schema.read_metadata(data_dir)


def test_shards_are_counted(data_dir, prepared, monkeypatch):
  cost = preparation.Cost(seconds=4.0, cpu_seconds=7.0, peak_bytes=9)
  seen = []
  monkeypatch.setattr(
    preparation, "run", lambda words: (seen.append(words), cost)[1]
  )
  tree = photo_tree.Tree("raw", "boxes.json", "own", 0)
  found = preparation.measure(tree, str(data_dir), "")
  assert {"--tokenizer=own", "--raw_dir=raw"} <= {*seen[0]}
  num_rows = sum(prepared.num_rows.values())
  assert found["num_rows"] == num_rows
  assert found["rows_per_second"] == num_rows / 4.0
  records = [
    os.path.join(prepared.folder, name)
    for name in os.listdir(prepared.folder)
    if name.startswith("mnre-")
  ]
  assert len(records) == 3
  assert found["shard_bytes"] == sum(os.path.getsize(x) for x in records)


def test_every_place_and_part_is_measured(prepared):
  places = [place for place in PLACES if place != "auto"]
  found = input_pipeline.measure(prepared, places, [8], num_later=1)
  assert [(x["cache"], x["batch_size"]) for x in found] == [
    (place, 8) for place in places
  ]
  for x in found:
    assert len(x["later"]) == 1
    for rate in (x["first"], *x["later"]):
      assert rate["rows_per_second"] > 0
      assert rate["cpu_seconds"] > 0
  parts = input_pipeline.measure_parts(prepared)
  assert len(parts) == 5
  assert all(seconds > 0 for seconds in parts.values())
  later = {x["cache"]: x["later"][0]["cpu_seconds"] for x in found}
  assert later["host"] < later["none"]


def test_figures_are_written(prepared, tmp_path, capsys):
  rate = {"rows_per_second": 500.4, "cpu_seconds": 0.004}
  epochs = [{"cache": "host", "batch_size": 32, "first": rate, "later": [rate]}]
  found = {"num_rows": 7, "epochs": epochs, "seconds_of_parts": {"read": 0.001}}
  out = tmp_path / "out.json"
  input_pipeline.write(found, str(out))
  shown = capsys.readouterr().out
  assert all(word in shown for word in ("host", "500", "4.00", "read", "100"))
  written = json.loads(out.read_text())
  assert written["epochs"] == epochs
  assert {"machine", "num_rows"} <= written.keys()
