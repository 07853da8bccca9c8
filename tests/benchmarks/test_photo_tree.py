"""Generated trees lack nothing, and the input pipeline is measured on one."""

import io
import json

import numpy as np
import pytest
import raw_tree
from PIL import Image

from benchmarks import input_pipeline, photo_tree
from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.pipeline.cache import PLACES
from ifa_jax.preparation.mnre.plan import Planner, Settings


@pytest.fixture(autouse=True)
def small_photos(monkeypatch):
  monkeypatch.setattr(photo_tree, "PHOTO_SIZE", (80, 60))


def test_photos_are_distinct_and_hard_to_compress():
  files = [photo_tree.make_photo(seed, (120, 90)) for seed in range(3)]
  assert files[0] == photo_tree.make_photo(0, (120, 90))
  assert len({*files}) == 3
  picture = Image.open(io.BytesIO(files[0])).convert("RGB")
  assert picture.size == (120, 90)
  square = decode.fit(picture, 64)
  assert len(decode.encode_png(square)) > 0.4 * square.size
  # Several colours and frequencies: neither flat nor white noise.
  pixels = np.asarray(picture, float)
  steps = np.abs(np.diff(pixels, axis=1)).mean()
  assert 3 < steps < 0.6 * pixels.std()


def check_complete(raw_dir, tokenizer):
  """Returns the number of rows of each split; none lacks a picture or crop."""
  settings = Settings(
    raw_dir=str(raw_dir),
    data_dir="",
    protocol="clean",
    boxes=str(raw_dir / "boxes.json"),
    tokenizer=str(tokenizer),
  )
  planner, counts = Planner(settings), {}
  for split in schema.SPLITS:
    plans = list(planner.plans(split))
    counts[split] = len(plans)
    for plan in plans:
      assert plan.missing == ()
      numbers = [len(plan.squares[kind]) for kind in schema.PICTURES]
      assert numbers == [1, 3, 3]
      picture = decode.open_picture(plan.picture)
      for kind in ("grounded", "detected"):
        for crop in plan.squares[kind]:
          decode.cut(picture, crop.edges)
  return counts


def test_a_generated_tree_is_complete(tmp_path):
  raw = tmp_path / "raw"
  photo_tree.main(photo_tree.Settings(out=str(raw), rows=16))
  counts = check_complete(raw, raw / "tokenizer")
  assert counts == {"train": 16, "val": 2, "test": 2}
  (post, _) = photo_tree.read_posts(str(raw))
  assert decode.open_picture(post["image"]).size == (80, 60)
  # Three for each of two entities, and three without a name.
  assert len(post["boxes"]) == 9


def test_pictures_of_a_published_tree_are_kept(tmp_path, capsys):
  own = raw_tree.jpeg(64, 48, seed=5)
  rows = [raw_tree.row(), raw_tree.row("Rome , Bill", (0, 1), (2, 3), "b.jpg")]
  source = raw_tree.write_tree(tmp_path / "raw", rows, {"train/a.jpg": own})
  out = tmp_path / "tree"
  photo_tree.main(photo_tree.Settings(out=str(out), raw_dir=str(source)))
  assert "1 pictures generated" in capsys.readouterr().out
  check_complete(out, raw_tree.write_tokenizer(tmp_path / "tokenizer"))
  assert next(out.glob("img_org/*/a.jpg")).read_bytes() == own
  made = decode.open_picture(next(out.glob("img_org/*/b.jpg")))
  assert made.size == (80, 60)


def test_each_place_and_part_is_measured(data_dir, tmp_path, capsys):
  places = tuple(place for place in PLACES if place != "auto")
  path = tmp_path / "found.json"
  settings = input_pipeline.Settings(
    data_dir=str(data_dir), batch_sizes=(8,), later=1, out=str(path)
  )
  input_pipeline.main(settings)
  shown = capsys.readouterr().out
  found = json.loads(path.read_text())
  assert tuple(x["cache"] for x in found["epochs"]) == places
  later = {}
  for x in found["epochs"]:
    assert x["batch_size"] == 8
    assert len(x["later"]) == 1
    for rate in (x["first"], *x["later"]):
      assert rate["rows_per_second"] > 0
      assert f"{1e3 * rate['cpu_seconds']:.2f}" in shown
    later[x["cache"]] = x["later"][0]["cpu_seconds"]
  assert later["host"] < later["none"]
  parts = found["seconds_of_parts"]
  assert len(parts) == 5
  for name, seconds in parts.items():
    assert seconds > 0
    assert name in shown
