"""Large inputs are refused, or processed within a known memory.

Sizes that take minutes are tested only with --thorough.
"""

import json
import os
import pathlib
import subprocess
import sys

import command_lines
import numpy as np
import pytest
import raw_tree
import tiny_run
from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.training import loop

pytestmark = pytest.mark.slow


def run_script(*options):
  """Returns the output of `limits_script`."""
  if not pathlib.Path("/proc/self/status").exists():
    pytest.skip("needs /proc, for the peak memory of a process")
  done = subprocess.run(
    [
      sys.executable,
      command_lines.SCRIPTS / "limits_script.py",
      *map(str, options),
    ],
    capture_output=True,
    text=True,
    env={**os.environ, "PYTHONPATH": command_lines.PATHS},
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def save(path, mode, side):
  """Writes a picture of a smooth pattern in a mode of PIL."""
  level = np.tile(np.arange(256, dtype=np.uint8), (side, side // 256 + 1))
  level = Image.fromarray(np.ascontiguousarray(level[:, :side]))
  if mode == "I;16":
    picture = Image.fromarray(np.asarray(level).astype(np.uint16) * 257)
  elif mode == "P":
    picture = level.convert("P")
    picture.info["transparency"] = bytes(range(256))
  else:
    bands = [level] * len(Image.new(mode, (1, 1)).getbands())
    picture = Image.merge(mode, bands)
  exif = Image.Exif()
  exif[0x0112] = 6
  options = {"compress_level": 1} if path.suffix == ".png" else {}
  if path.suffix == ".jpg":
    options = {"progressive": True, "exif": exif}
  picture.save(path, **options)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_of_12000_is_refused_before_its_pixels(
  tmp_path, thorough, suffix
):
  path = tmp_path / f"large{suffix}"
  if thorough or suffix == ".png":
    mode = "L" if suffix == ".png" else "RGB"
    Image.new(mode, (12_000, 12_000)).save(path)
  else:
    # Only the size in the header, of a small picture.
    Image.new("RGB", (8, 8)).save(path)
    sized = (12_000).to_bytes(2, "big") * 2
    small = (8).to_bytes(2, "big") * 2
    path.write_bytes(
      path.read_bytes().replace(b"\x08" + small, b"\x08" + sized)
    )
  found = run_script("picture", path)
  assert (
    "expected at most 64000000 pixels, got 12000 x 12000" in found["result"]
  )
  assert found["peak_mb"] - found["start_mb"] < 50


MODES = [("L", ".png"), ("RGBA", ".png"), ("I;16", ".png"), ("P", ".png")]
MODES += [("RGB", ".jpg"), ("CMYK", ".jpg"), ("LA", ".png")]


@pytest.mark.parametrize(("mode", "suffix"), MODES)
def test_the_largest_picture_fits_into_a_gigabyte(
  tmp_path, thorough, mode, suffix
):
  """64 million pixels with --thorough; a quarter of it without, of one kind."""
  if not thorough and mode != "RGBA":
    pytest.skip("set --thorough for every kind of picture")
  side = 8000 if thorough else 4000
  assert decode.MAX_PIXELS == 8000 * 8000
  save(tmp_path / f"large{suffix}", mode, side)
  found = run_script("picture", tmp_path / f"large{suffix}")
  assert found["result"] == "(224, 224, 3)"
  assert found["peak_mb"] < 850 * (side / 8000) ** 2 + 100


def write_rows(folder, num_rows):
  """Writes a tree of so many training rows, each with words of its own."""
  tree = raw_tree.write_tree(folder, [raw_tree.row()])
  row = raw_tree.row("W0 sang in W1 today", (0, 1), (3, 4), "P.jpg")
  text = repr(row)
  with open(os.path.join(tree, "txt", "ours_train.txt"), "w") as file:
    for i in range(num_rows):
      line = text.replace("W0", f"w{i}x").replace("W1", f"r{i}y")
      file.write(line.replace("P.jpg", f"{i}.jpg") + "\n")
  return tree


def test_memory_of_preparation_does_not_grow_with_the_rows(tmp_path, thorough):
  """Keeping the words of the larger file would exceed the bound."""
  sizes = (100_000, 1_000_000) if thorough else (500, 3_000)
  tokenizer = raw_tree.write_tokenizer(tmp_path / "tokenizer")
  trees = [write_rows(tmp_path / f"{n}", n) for n in sizes]
  found = run_script("prepare", tmp_path / "out", tokenizer, *trees)
  (small, first), (large, last) = found["result"]
  assert (small, large) == sizes
  assert last - first < (150 if thorough else 25), found


def test_five_hundred_relations(tmp_path, compiled_dir):
  """Prepared, trained, evaluated, with a row of the report for each."""
  from ifa_jax.preparation.mnre import plan, prepare

  relations = ["None", *(f"/per/per/relation_{i:03}" for i in range(1, 500))]
  rows = [raw_tree.row(relation=relations[i]) for i in range(0, 500, 20)]
  tree = raw_tree.write_tree(tmp_path / "raw", rows, relations=relations)
  settings = plan.Settings(
    raw_dir=tree,
    data_dir=str(tmp_path / "data"),
    protocol="none",
    tokenizer=raw_tree.write_tokenizer(tmp_path / "tokenizer"),
    missing_pixels="absent",
    num_workers=1,
    text_len=40,
    **tiny_run.GEOMETRY,
  )
  prepare.prepare(settings)
  config = tiny_run.tiny_run_config(
    tmp_path / "data",
    data={"protocol": "none"},
    model={
      "num_relations": len(relations),
      "text": {"vocab_size": Tokenizer.load(settings.tokenizer).vocab_size},
    },
    train={"max_steps": 2},
  )
  with tiny_run.fast_compilation(compiled_dir):
    loop.run(tiny_run.build(config), str(tmp_path / "run"))
  scored = json.loads((tmp_path / "run" / "eval_test.json").read_text())
  assert scored["n"] == len(rows)
  assert len(scored["per_relation"]) >= 25
  assert {*scored["per_relation"]} <= {*relations}
  lines = tiny_run.read_lines(tmp_path / "run" / "predictions_test.jsonl")
  assert [line["gold"] for line in lines] == [r["relation"] for r in rows]
