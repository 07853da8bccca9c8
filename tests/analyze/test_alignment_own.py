"""Alignments of own posts match those of the dataset's rows."""

import dataclasses
import io
import json
import types

import numpy as np
import own_runs
import pytest
import tiny_systems
from PIL import Image

from ifa_jax.analyze.alignment import command
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.own_posts import PostAligner
from ifa_jax.data.images import decode as pictures
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training.config.run_config import DataConfig
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 1e-5
# Rows of the generated test split, unordered.
ROWS = [5, 0, 11, 3]
REGIONS = ("mega", "vilbert")
KINDS = ("pixels", "mkgformer", *REGIONS)


@pytest.fixture(scope="module", name="aligned")
def aligned_both_ways(
  finished, posts, data_dir, scenes_dir, tmp_path_factory, fast_compilation
):
  """Returns name -> (aligner, rows of the dataset, own posts)."""
  found = {}
  for name in KINDS:
    if name == "pixels":
      built, workdir = finished
      params = alignment_split.load_best(RunFolder(workdir)).params
    else:
      built = tiny_systems.build(name, data_dir, scenes_dir)
      params = tiny_systems.params(built)
      workdir = tmp_path_factory.mktemp(name) / "run"
      own_runs.write(built, params, workdir)
    aligner = alignment_split.SplitAligner(built, params)
    split = built.data.split("test")
    # One row at a time, so that both share the compiled function.
    theirs = [next(aligner.posts(split, [row])) for row in ROWS]
    own = PostAligner(Predictor(workdir))
    found[name] = own, theirs, [own.post(posts[row]) for row in ROWS]
  return found


@pytest.mark.parametrize("name", KINDS)
def test_maps_match_the_dataset_rows(name, aligned):
  _, theirs, ours = aligned[name]
  numbers = set()
  for want, got in zip(theirs, ours, strict=True):
    assert got.gold is None
    assert want.gold is not None
    assert [c.name for c in got.alignment.columns] == [
      c.name for c in want.alignment.columns
    ]
    numbers.add(len(got.alignment.columns))
    for field in ("words", "markers"):
      for mine, his in zip(
        getattr(got.alignment, field),
        getattr(want.alignment, field),
        strict=True,
      ):
        np.testing.assert_allclose(mine, his, atol=TOLERANCE)
    for entity, grids in want.alignment.patches.items():
      for mine, his in zip(got.alignment.patches[entity], grids, strict=True):
        np.testing.assert_allclose(mine, his, atol=TOLERANCE)
    for field in ("probabilities", "blanked"):
      mine, his = getattr(got, field), getattr(want, field)
      assert [*mine] == [*his]
      np.testing.assert_allclose([*mine.values()], [*his.values()], atol=1e-5)
  assert max(numbers) > 1


@pytest.mark.parametrize("name", KINDS)
def test_json_and_panels_match_the_dataset_rows(name, aligned):
  _, theirs, ours = aligned[name]
  drawn = 0
  for want, got in zip(theirs, ours, strict=True):
    mine, his = got.to_json(), want.to_json()
    assert "gold" not in mine
    for key in ("id", "img_id", "words", "head", "tail", "maps", "labels"):
      assert mine[key] == his[key], key
    if his["columns"]:
      assert mine["picture_size"] == his["picture_size"]
    assert [*mine["boxes"]] == [*his["boxes"]]
    for column, place in his["boxes"].items():
      for key, numbers in place.items():
        # The dataset's are float32.
        found = mine["boxes"][column][key]
        assert found == pytest.approx(numbers, rel=1e-5, abs=1e-5)
    assert [p.title for p in got.panels()] == [p.title for p in want.panels()]
    for panel, wanted in zip(got.panels(), want.panels(), strict=True):
      assert (pixels(panel.square) == pixels(wanted.square)).all()
      drawn += 1
    assert (got.picture is None) == (want.picture is None)
  assert drawn > 2


def pixels(square):
  return np.asarray(Image.open(io.BytesIO(square)).convert("RGB"))


@pytest.mark.parametrize("name", KINDS)
def test_without_picture_there_are_no_columns(name, aligned, posts):
  own, _, ours = aligned[name]
  bare = {k: x for k, x in posts[5].items() if k not in ("image", "boxes")}
  post = own.post(bare)
  assert post.alignment.columns == []
  assert post.picture is None
  assert post.panels() == []
  assert post.change < 1e-6
  assert ours[0].change > 1e-6
  np.testing.assert_allclose(
    [*post.probabilities.values()],
    [*ours[0].blanked.values()],
    atol=TOLERANCE,
  )


@pytest.mark.parametrize(
  ("name", "columns"), [("pixels", ["image"]), ("mega", [])]
)
def test_without_boxes_the_picture_is_shown(name, columns, aligned, posts):
  own, _, ours = aligned[name]
  post = own.post(posts[5] | {"boxes": []})
  assert [column.name for column in post.alignment.columns] == columns
  assert (pixels(post.picture) == pixels(ours[0].picture)).all()


def test_detected_objects_are_shown(finished, posts):
  class Finder:
    def find(self, pictures, names):
      return [posts[5]["boxes"] for _ in pictures]

  aligner = PostAligner(Predictor(finished.workdir, Finder()))
  bare = {k: x for k, x in posts[5].items() if k != "boxes"}
  found, given = aligner.post(bare), aligner.post(posts[5])
  assert found.to_json() == given.to_json()
  assert len(found.alignment.columns) > 1


def test_source_of_own_posts_has_no_split(aligned):
  source = aligned["mega"][0].source("runs/mega")
  assert str(source) == (
    "Alignment of runs/mega, your own posts, protocol clean, checkpoint at"
    f" step {own_runs.STEP}, visual source: spatial edges, chain graph"
  )
  assert aligned["vilbert"][0].source("a").visual_source == "scenes"
  assert aligned["pixels"][0].source("a").visual_source is None


NO_MAP = {
  "mtb": "got one that reads only text",
  "bert_sg": "got one that sums its objects: no word is aligned with any",
  "mega": "data.scenes: expected a directory of scenes",
}


@pytest.mark.parametrize("name", NO_MAP)
def test_model_without_map_raises(name):
  reader = types.SimpleNamespace(data=DataConfig(), image_size=32)
  model = tiny_systems.MODELS[name]
  predictor = types.SimpleNamespace(model=model, reader=reader)
  with pytest.raises(ValueError, match=NO_MAP[name]):
    PostAligner(predictor)


@pytest.fixture(name="write")
def write_posts(finished, tmp_path):
  """Writes lines to a file, and the command's output to a directory."""

  def make(lines, num_posts=40, **options):
    path, out = tmp_path / "posts.jsonl", tmp_path / "out"
    path.write_text("".join(f"{line}\n" for line in lines))
    options = {"workdir": "run", "map": None, "num_posts": num_posts} | options
    options = types.SimpleNamespace(posts=str(path), **options)
    taken = command.take_own(RunFolder(finished.workdir), options)
    command.write(out, *taken)
    return out

  return make


POST = {"text": "Ann joins Acme .", "head": "Ann", "tail": "Acme"}
ODD_IDS = ["../../a b", "x" * 300, "a", "A", "\ud83d", "😀" * 90, 5, None, "."]


def test_lines_become_png_json_and_a_page(write, posts, caplog):
  lines = [posts[3], {"text": "Ann"}, POST, POST | {"image": "nowhere.jpg"}]
  lines += [posts[0], posts[1]]
  out = write(["nonsense", "", *map(json.dumps, lines)], 3)
  names = ["post-4", "test-1", "test-4"]
  files = sorted(path.name for path in (out / "posts").iterdir())
  assert files == sorted(f"{n}.{e}" for n in names for e in ("json", "png"))
  passed = [r.getMessage() for r in caplog.records if "skipped" in r.msg]
  assert len(passed) == 3
  for line, part in zip(
    passed,
    ("post 1: line 1: not JSON", "post 3: ", "nowhere.jpg"),
    strict=True,
  ):
    assert part in line
  assert [x for x in caplog.messages if "--num_posts" in x] == [
    f"{out.parent / 'posts.jsonl'}: only the first 3 valid posts are shown;"
    " --num_posts shows more"
  ]
  page = (out / "index.html").read_text()
  assert page.count("<article") == 3
  assert page.count("your own posts") == 2
  written = json.loads((out / "posts" / "test-4.json").read_text())
  assert [written["split"], written["id"]] == [None, "test/4"]


def test_every_id_has_its_own_file(write, caplog):
  lines = [json.dumps(POST | {"id": name}) for name in ODD_IDS]
  out = write(lines, len(lines))
  assert "--num_posts" not in caplog.text
  names = [path.name for path in (out / "posts").glob("*.png")]
  assert len({name.casefold() for name in names}) == len(ODD_IDS)
  assert {"a-b.png", "a.png", "A-2.png", "5.png"} <= {*names}
  assert all(len(name.encode()) < 230 for name in names)
  assert len([*out.parent.iterdir()]) == 2


def test_file_without_valid_posts_writes_nothing(write, tmp_path):
  with pytest.raises(ValueError, match=r"own.*: expected at least one post"):
    write(['{"text": "Ann"}'])
  assert not (tmp_path / "out").exists()


def test_unknown_map_raises(write):
  with pytest.raises(ValueError, match=r"--map: expected one .* 0, got '7'"):
    write([json.dumps(POST)], map="7")


def test_error_names_the_run_without_alignment(finished, monkeypatch, tmp_path):
  real = Predictor(finished.workdir)
  text_only = dataclasses.replace(real.model, vision=None)
  monkeypatch.setattr(real, "model", text_only)
  monkeypatch.setattr(command, "Predictor", lambda _: real)
  options = types.SimpleNamespace(map=None)
  with pytest.raises(ValueError, match="only text") as raised:
    command.take_own(RunFolder(tmp_path), options)
  assert str(raised.value).startswith(
    f"{tmp_path}: expected a model that aligns"
  )


def test_picture_in_memory_is_opened_once(aligned, posts, monkeypatch):
  own, _, ours = aligned["mega"]
  opened = []
  open_picture = pictures.open_picture
  monkeypatch.setattr(
    pictures,
    "open_picture",
    lambda source: opened.append(source) or open_picture(source),
  )
  with open(posts[5]["image"], "rb") as file:
    in_memory = file.read()
  found = own.post(posts[5] | {"image": in_memory}).to_json()
  assert opened == [in_memory]
  assert found == ours[0].to_json() | {"img_id": ""}
