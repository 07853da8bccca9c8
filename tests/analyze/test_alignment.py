"""The command `alignment` on a finished run: its files and its errors."""

import dataclasses
import functools
import json
import os

import aligned
import command_lines
import jax
import numpy as np
import pytest
import tiny_run
from PIL import Image

from ifa_jax import models
from ifa_jax.analyze.alignment import command, figures
from ifa_jax.analyze.alignment import posts as alignment_posts
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.data.pipeline import sampling
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
# Rows of the generated test split, unordered.
ROWS = [5, 0, 11]


@pytest.fixture(scope="module", name="best")
def best_checkpoint(finished):
  folder = RunFolder(finished.workdir)
  return alignment_split.load_best(folder)


@pytest.fixture(scope="module", name="posts")
def some_posts(finished, best, fast_compilation):
  built = finished.experiment
  aligner = alignment_split.SplitAligner(built, best.params)
  return list(aligner.posts(built.data.split("test"), ROWS))


@pytest.fixture(scope="module", name="out")
def written_folder(finished, best, posts, tmp_path_factory):
  folder = tmp_path_factory.mktemp("alignment") / "out"
  source = alignment_posts.PostSource("run", "test", "clean", best.step)
  command.write(folder, source, iter(posts), shown=0)
  return folder


def read_json(out, row):
  return json.loads((out / "posts" / f"test-{row + 1}.json").read_text())


def test_posts_follow_the_order_of_the_rows(posts):
  assert [post.row.text.id for post in posts] == ["test/6", "test/1", "test/12"]


def test_predictions_match_the_evaluation(finished, posts):
  lines = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")
  for row, post in zip(ROWS, posts, strict=True):
    assert post.row.text.id == lines[row]["id"]
    assert post.gold == lines[row]["gold"]
    assert post.predicted == lines[row]["pred"]
    for name, probability in lines[row]["probabilities"].items():
      assert post.probabilities[name] == pytest.approx(probability, abs=2e-6)


def test_maps_are_sums_of_captured_attention(finished, best, out):
  """From shards to JSON, compared with loops over the captured attention."""
  built, split = finished.experiment, finished.experiment.data.split("test")
  (batch,) = split.batches(
    sampling.in_batches(np.array(ROWS), 3), built.data.geometry
  )
  capture = jax.jit(functools.partial(built.model.apply, capture=True))
  output = capture({"params": best.params}, batch)
  # 32 pixels in patches of 8: 16 of the picture, 2 x 16 and 2 x 4 of crops.
  starts = {"image": 1, "grounded 1": 17, "grounded 2": 33}
  starts |= {"detected 1": 49, "detected 2": 53}
  seen = set()
  for i, row in enumerate(ROWS):
    written = read_json(out, row)
    seen.update(written["columns"])
    word_ids = split.describe(row).encoded.word_ids
    attention = np.asarray(output.text_attention[:, i], np.float64)
    for word in range(len(written["words"])):
      tokens = [t for t, owner in enumerate(word_ids) if owner == word]
      for j, name in enumerate(written["columns"]):
        num = 4 if name.startswith("detected") else 16
        keys = range(starts[name], starts[name] + num)
        want = aligned.loop_cell(attention[0], tokens, keys)
        # One layer: its mean is itself.
        for layer in range(2):
          got = written["words_to_pictures"][layer][word][j]
          assert got == pytest.approx(want, abs=TOLERANCE)
  assert {"image", "grounded 1", "detected 1"} <= seen


def test_json_files_have_all_maps_and_their_source(out, best):
  written = read_json(out, 0)
  named = ("run", "split", "protocol", "step", "maps", "elsewhere_columns")
  assert [written[name] for name in named] == [
    "run",
    "test",
    "clean",
    best.step,
    ["mean", "0"],
    ["class token", "absent", "text"],
  ]
  assert written["visual_source"] is None
  assert written["labels"] == [""] * len(written["columns"])
  shape = 2, len(written["words"]), len(written["columns"])
  assert np.shape(written["words_to_pictures"]) == shape
  assert np.shape(written["markers_to_elsewhere"]) == (2, 2, 3)
  assert np.shape(written["patches"]["head"]["image"]) == (2, 4, 4)
  assert sum(written["probabilities"].values()) == pytest.approx(1, abs=1e-5)
  gaps = [
    abs(written["probabilities"][name] - written["blanked"][name])
    for name in written["probabilities"]
  ]
  assert written["change"] == pytest.approx(sum(gaps) / 2, abs=1e-5)
  assert written["change"] > 1e-3
  for name, place in written["boxes"].items():
    assert name in written["columns"]
    assert len(place["box"]) == len(place["patches_on_square"]) == 4


def test_every_post_has_a_png_file(out):
  assert sorted(os.listdir(out)) == ["index.html", "posts"]
  assert len(os.listdir(out / "posts")) == 2 * len(ROWS)
  for row in ROWS:
    picture = Image.open(out / "posts" / f"test-{row + 1}.png").convert("RGB")
    assert min(picture.size) > 400
    assert len(picture.getcolors(1 << 24)) > 100


ODD_POSTS = {
  "nothing to see": {"num_squares": (0, 0, 0)},
  "six objects": {"num_squares": (1, 3, 3)},
  "crops of unknown position": {"boxed": False},
  "only crops": {"num_squares": (0, 2, 3), "boxed": False},
  "money, emoji, Arabic": {"words": ["$x_1", "🎸", "$y$", "السلام"]},
  "long": {"words": ["x" * 60, *["word"] * 33, "y" * 60]},
}


@pytest.mark.parametrize("case", ODD_POSTS)
def test_unusual_posts_are_drawn(case, tmp_path):
  post = aligned.make_post(**ODD_POSTS[case])
  path = tmp_path / "post.png"
  figures.save(post, path, shown=1, caption="a run")
  assert np.asarray(Image.open(path).convert("L")).std() > 5
  json.dumps(post.to_json(), allow_nan=False)


def test_figures_draw_the_selected_map(tmp_path):
  post = aligned.make_post()
  drawn = []
  for shown in (0, 1, 2):
    path = tmp_path / f"{shown}.png"
    figures.save(post, path, shown, caption="a run")
    drawn.append(np.asarray(Image.open(path).convert("RGB"), int))
  same_size = {pixels.shape for pixels in drawn}
  assert len(same_size) == 1
  assert np.abs(drawn[1] - drawn[2]).max() > 50


def test_panels_depend_on_known_boxes():
  def titles(**changes):
    return [panel.title for panel in aligned.make_post(**changes).panels()]

  assert titles() == ["image", "crops"]
  assert titles(num_squares=(1, 0, 0)) == ["image"]
  assert titles(num_squares=(0, 0, 0)) == []
  crops = ["grounded 1", "detected 1", "detected 2"]
  assert titles(boxed=False) == ["image", *crops]


def test_posts_with_pictures_come_first():
  seen = [False, True, False, True, True]
  choose = functools.partial(command.choose, seen, name="test")
  assert choose(9, "first") == [1, 3, 4, 0, 2]
  assert choose(4, "first") == [1, 3, 4, 0]
  assert choose(9, "only") == [1, 3, 4]
  assert choose(3, "any") == [0, 1, 2]
  with pytest.raises(ValueError, match="split test: expected posts with a pic"):
    command.choose([False] * 3, 3, "only", "test")


def test_posts_are_found_by_id(finished):
  split = finished.experiment.data.split("test")
  assert command.find(split, ["test/11", "test/2", "test/11"]) == [10, 1]
  with pytest.raises(ValueError, match=r"got 'tset/3'; did you mean test/3"):
    command.find(split, ["tset/3"])


def test_unknown_map_raises():
  names = ["mean", "0", "1", "2"]
  places = [command.map_index(x, names) for x in ("mean", "0", "2", None)]
  assert places == [0, 1, 3, 0]
  for name in ("3", "-1", "last", ""):
    with pytest.raises(
      ValueError, match="--map: expected one of mean, 0, 1, 2,"
    ):
      command.map_index(name, names)


def test_run_without_alignment_raises(finished, tmp_path):
  folder, built = RunFolder(tmp_path), finished.experiment
  command.make_reader(built, folder)
  model = models.replace(built.config.model, vision=None)
  text = dataclasses.replace(built.config, model=model)
  changed = dataclasses.replace(built, config=text)
  with pytest.raises(ValueError, match="got one that reads only text"):
    command.make_reader(changed, folder)
  metadata = json.loads(json.dumps(built.prepared.metadata))
  for counts in metadata["counts"].values():
    for name in ("pictures", "grounded", "detected"):
      counts[name] = counts[f"missing_{name}"] = 0
  nothing = built.prepared._replace(metadata=metadata)
  changed = dataclasses.replace(built, prepared=nothing)
  with pytest.raises(ValueError, match="expected posts with any of image, gr"):
    command.make_reader(changed, folder)


@pytest.fixture(scope="module", name="commands")
def all_command_lines(finished, posts_file, compiled_dir, tmp_path_factory):
  """Returns the folder written to, and name -> outcome."""
  out = tmp_path_factory.mktemp("commands")
  run = ["ifa_jax/analyze/__main__.py", "alignment"]
  ours = [*run, f"--workdir={finished.workdir}", f"--out={out / 'out'}"]
  lines = {
    "rows": [*ours, "--split=dev", "--num_posts=2", "--map=0"],
    "own": [*ours, f"--posts={posts_file}"],
    "both": [*ours, f"--posts={posts_file}", "--rows=test/1"],
    "no run": [*run, f"--workdir={out}"],
    "no posts": [*ours, f"--posts={out / 'nowhere.jsonl'}"],
  }
  return out / "out", command_lines.run_all(
    lines,
    loaded=[
      "ifa_jax.analyze.alignment.command",
      "ifa_jax.analyze.alignment.figures",
      "ifa_jax.analyze.alignment.split",
      "ifa_jax.inference.predictor",
      "transformers.models.auto.tokenization_auto",
    ],
    environment=tiny_run.fast_environment(compiled_dir),
  )


@pytest.fixture(scope="module", name="posts_file")
def lines_of_posts(tmp_path_factory):
  path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
  good = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme", "id": "mine"}
  path.write_text(f"{json.dumps(good)}\nno post\n")
  return path


def test_command_writes_files(finished, commands):
  out, outcomes = commands
  for name in ("rows", "own"):
    assert outcomes[name].status == 0, outcomes[name].err
    assert outcomes[name].out == f"written to {out / 'index.html'}\n"
  written = sorted(os.listdir(out / "posts"))
  stems = ["mine", "val-1", "val-2"]
  assert written == [f"{s}.{end}" for s in stems for end in ("json", "png")]
  rows = json.loads((out / "posts" / "val-1.json").read_text())
  assert [rows["run"], rows["split"]] == [str(finished.workdir), "dev"]
  # Written by the last command.
  page = (out / "index.html").read_text()
  first = f"Alignment of {finished.workdir}, your own posts, protocol"
  assert page.count(first) == 2
  assert "skipped post 2: line 2: not JSON" in outcomes["own"].err


@pytest.mark.parametrize(
  ("name", "status", "said"),
  [
    ("both", 2, "expected either --rows or --posts"),
    ("no run", 1, "expected a run's folder"),
    ("no posts", 1, "nowhere.jsonl"),
  ],
)
def test_user_errors_are_one_line(commands, name, status, said):
  outcome = commands[1][name]
  assert outcome.status == status
  # After the progress bar.
  assert outcome.err.splitlines()[-1].startswith("error: ")
  assert said in outcome.err
