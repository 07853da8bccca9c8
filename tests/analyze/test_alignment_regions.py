"""Maps of the systems that read objects, compared with loops; their page."""

import dataclasses
import functools
import html
import json
import re

import browser
import jax
import numpy as np
import pytest
import tiny_systems
from PIL import Image

from ifa_jax.analyze.alignment import command, figures
from ifa_jax.analyze.alignment import posts as alignment_posts
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.scenes import graph_similarity
from ifa_jax.data.text import tokenizer as tokenization

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
# Rows of the generated test split, unordered.
ROWS = [5, 0, 11, 3]
ALIGNED = ("bert_sg_att", "mega", "mega_released", "vilbert")


@pytest.fixture(scope="module", name="made")
def scenes_of_the_dataset(data_dir, tmp_path_factory):
  """Returns their folder, the scenes and the heads."""
  folder = tmp_path_factory.mktemp("scenes")
  return folder, *tiny_systems.write_scenes(folder, data_dir)


@functools.cache
def look(name, data_dir, scenes):
  """Returns an experiment, the posts of `ROWS`, their batch and the output."""
  built = tiny_systems.build(name, data_dir, scenes)
  params, split = tiny_systems.params(built), built.data.split("test")
  posts = alignment_split.SplitAligner(built, params).posts(split, ROWS)
  (batch,) = built.data.batches(
    split, sampling.in_batches(np.array(ROWS), len(ROWS))
  )
  run = jax.jit(functools.partial(built.model.apply, capture=True))
  output = jax.device_get(run({"params": params}, batch))
  return built, [*posts], batch, output


@pytest.fixture(name="looked")
def posts_and_captured(data_dir, made):
  return lambda name: look(name, data_dir, made[0])


def tokens_of(text, words):
  owners = text.encoded.word_ids
  return [t for t, owner in enumerate(owners) if owner in words]


def loop_sum(weights, tokens, j):
  return sum(float(weights[token, j]) for token in tokens)


def check(post, want, cell):
  """Compares all of a post's maps with float[T, M] each, by a cell's loop."""
  text, got = post.row.text, post.alignment
  assert len(got.words.pictures) == len(got.kind.titles) == len(want)
  for m, weights in enumerate(want):
    for j in range(len(got.columns)):
      for word in range(len(text.words)):
        wanted = cell(weights, tokens_of(text, [word]), j)
        found = got.words.pictures[m, word, j]
        assert found == pytest.approx(wanted, abs=TOLERANCE)
      starts = (text.encoded.head_start, text.encoded.tail_start)
      for i, token in enumerate(starts):
        found = got.markers.pictures[m, i, j]
        assert found == pytest.approx(float(weights[token, j]), abs=TOLERANCE)
      for name, span in (("head", text.head), ("tail", text.tail)):
        wanted = cell(weights, tokens_of(text, range(*span)), j)
        (found,) = got.patches[name][j][m].ravel()
        assert found == pytest.approx(wanted, abs=TOLERANCE)


def test_vilbert_averages_over_tokens(looked):
  built, posts, batch, output = looked("vilbert")
  assert built.config.model.weight_names == ("0", "1")
  for i, post in enumerate(posts):
    maps = np.asarray(output.region_weights[:, i], np.float64)
    check(
      post,
      [(maps[0] + maps[1]) / 2, *maps],
      lambda w, tokens, j: loop_sum(w, tokens, j) / len(tokens),
    )
    got = post.alignment
    assert [*got.kind.titles] == ["mean", "0", "1"]
    for shares in (got.words, got.markers):
      total = shares.pictures.sum(-1) + shares.elsewhere.sum(-1)
      np.testing.assert_allclose(total, 1, atol=TOLERANCE)
    # Without objects, only the whole picture remains.
    if not batch.region_mask[i].any():
      np.testing.assert_allclose(got.words.elsewhere, 1, atol=TOLERANCE)
  assert [*posts[0].alignment.kind.elsewhere] == ["whole picture"]


def test_mega_sums_over_tokens(looked):
  _, posts, _, output = looked("mega")
  for i, post in enumerate(posts):
    alpha, beta = np.asarray(output.region_weights[:, i], np.float64)
    check(post, [alpha + beta, alpha, beta], loop_sum)
    assert [*post.alignment.kind.titles] == ["sum", "structural", "semantic"]
    assert post.alignment.words.elsewhere.shape[2] == 0


@pytest.mark.parametrize(
  ("name", "maps"),
  [
    ("bert_sg_att", ["semantic"]),
    # Its mixtures pass through a layer side by side and are not added.
    ("mega_released", ["structural", "semantic"]),
  ],
)
def test_weights_that_are_not_added_have_no_sum(looked, name, maps):
  _, posts, _, output = looked(name)
  for i, post in enumerate(posts):
    weights = np.asarray(output.region_weights[:, i], np.float64)
    check(post, [*weights], loop_sum)
    assert [*post.alignment.kind.titles] == maps


def test_attention_of_an_object_adds_up_to_one(looked):
  _, posts, batch, output = looked("bert_sg_att")
  for i, post in enumerate(posts):
    no_word = np.array(post.row.text.encoded.word_ids) == -1
    rest = output.region_weights[0, i, : len(no_word)][no_word].sum(axis=0)
    cells = post.alignment.words.pictures[0].sum(axis=0)
    num = len(post.alignment.columns)
    assert num == batch.region_mask[i].sum()
    np.testing.assert_allclose(cells + rest[:num], 1, atol=TOLERANCE)


def test_structural_weights_match_the_graph_similarity(looked, made):
  _, pictures, heads = made
  for post in looked("mega")[1]:
    text, scene = post.row.text, pictures["test"][post.row.text.img_id]
    num = min(scene.num_objects, tiny_systems.NUM_REGIONS)
    tree = [(h, i) for i, h in enumerate(heads[text.id]) if h >= 0]
    edges = [e for e in scene.edges.tolist() if max(e) < num]
    words = graph_similarity.node_features(np.array(tree), len(text.words))
    objects = graph_similarity.node_features(np.array(edges), num)
    weights = graph_similarity.similarity(words, objects)
    wanted = graph_similarity.keep_best(weights, 1)
    read = [word for word in range(len(text.words)) if tokens_of(text, [word])]
    found = post.alignment.words.pictures[1]
    np.testing.assert_allclose(found[read], wanted[read], atol=TOLERANCE)


def test_columns_are_the_present_objects(looked, made):
  _, pictures, _ = made
  numbers = set()
  for post in looked("vilbert")[1]:
    scene = pictures["test"][post.row.text.img_id]
    num = min(scene.num_objects, tiny_systems.NUM_REGIONS)
    wanted = [f"{i + 1} {scene.labels[i]}" for i in range(num)]
    assert [column.name for column in post.alignment.columns] == wanted
    numbers.add(num)
  assert len(numbers) > 2


def test_words_follow_the_layout_of_the_model(data_dir, made, monkeypatch):
  monkeypatch.setattr(
    tokenization.Tokenizer, "ids_of", lambda *_: [808, 807, 806, 805]
  )
  built = tiny_systems.build("mega", data_dir, made[0], layout="opennre")
  split = built.data.split("test")
  aligner = alignment_split.SplitAligner(built, tiny_systems.params(built))
  row = aligner.read_row(split, 4)
  assert row.text == built.data.inputs.texts(split)[4]
  start = row.text.encoded.head_start
  assert row.text.encoded.input_ids[start] == 808
  assert row.text != split.describe(4)


@pytest.fixture(name="written")
def a_folder_of_posts(looked, tmp_path):
  """Writes a system's posts; returns the folder and the posts."""

  def write(name, shown=0):
    built, posts, *_ = looked(name)
    visual = built.data.inputs.visual_source(built.data.split("test"))
    source = alignment_posts.PostSource(
      f"runs/{name}", "test", "clean", 7, visual
    )
    command.write(tmp_path, source, iter(posts), shown)
    return tmp_path, posts

  return write


def test_json_files_have_weights_boxes_and_labels(written, made):
  folder, posts = written("mega")
  _, pictures, _ = made
  for post in posts:
    path = folder / "posts" / f"{post.file_name}.json"
    found = json.loads(path.read_text())
    scene = pictures["test"][found["img_id"]]
    num = len(found["columns"])
    # The manifest of the scenes names the chain parser.
    want = ["chain graph, nothing", [*scene.labels[:num]]]
    assert [found["visual_source"], found["labels"]] == want
    boxes = [found["boxes"][name]["box"] for name in found["columns"]]
    # Of the scene's 640 x 480 pixels.
    scale = np.array(found["picture_size"] * 2) / (scene.size * 2)
    np.testing.assert_allclose(boxes, (scene.boxes * scale)[:num].tolist())
    shape = 3, len(found["words"]), num
    assert np.shape(found["words_to_pictures"]) == shape
    assert found["elsewhere_columns"] == []
    for name in found["columns"]:
      assert np.shape(found["patches"]["tail"][name]) == (3, 1, 1)
    assert "structural" in found["notes"]["cell"]


@pytest.mark.parametrize("name", ALIGNED)
def test_figures_show_objects_on_the_picture(name, looked, tmp_path):
  _, posts, *_ = looked(name)
  drawn = 0
  for post in posts:
    path = tmp_path / f"{post.file_name}.png"
    figures.save(post, path, 0, caption="a run")
    assert np.asarray(Image.open(path).convert("L")).std() > 5
    titles = [panel.title for panel in post.panels()]
    there = post.picture is not None and len(post.alignment.columns) > 0
    assert titles == (["objects"] if there else [])
    drawn += there
  assert drawn


def test_post_without_picture_file_has_only_its_map(looked, tmp_path):
  post = max(looked("mega")[1], key=lambda post: len(post.alignment.columns))
  squares = post.row.squares | {"image": []}
  blind = dataclasses.replace(post, row=post.row._replace(squares=squares))
  assert blind.panels() == []
  figures.save(blind, tmp_path / "post.png", 0, caption="a run")
  written = blind.to_json()
  boxes = written["boxes"].values()
  assert [place["on_square"] for place in boxes] == [None] * len(boxes)
  assert [*written["boxes"]] == written["columns"]


WORDS = {
  "mega": ("structural + semantic", "weight of a word, %", "chain graph"),
  "bert_sg_att": ("semantic", "weight of a word, %", "scenes"),
  "vilbert": (
    "mean over connections",
    "% of a word&#39;s co-attention",
    "scenes",
  ),
}


@pytest.mark.parametrize("name", WORDS)
def test_page_describes_the_maps(name, written):
  folder, posts = written(name)
  text = (folder / "index.html").read_text()
  title, unit, source = WORDS[name]
  assert re.search(rf"selected>{re.escape(title)}</option>", text)
  assert f'<th scope="col">{unit}</th>' in text
  assert f"visual source: {source}, nothing</title>" in text
  assert "layer" not in text[text.index("<body>") :]
  if name != "vilbert":
    assert "mean over" not in text
  labels = [c.name for post in posts for c in post.alignment.columns]
  for label in labels:
    assert f'<th scope="col">{html.escape(label)}</th>' in text
  assert text.count("No object of the picture is known") == sum(
    not post.alignment.columns for post in posts
  )


@browser.needs_browser
@pytest.mark.parametrize("name", ["mega", "vilbert"])
def test_browser_shows_the_selected_map(name, written, tmp_path):
  folder, posts = written(name)
  page = (folder / "index.html").as_uri()
  last = [*posts[0].alignment.kind.titles][-1]
  shown = browser.chromium(tmp_path, f"{page}#map={last}", "--dump-dom")
  for post, article in zip(posts, shown.split("<article")[1:], strict=True):
    found = re.findall(r'<td class="picture"[^>]*>([^<]*)</td>', article)
    got = post.alignment
    both = [got.words.pictures[-1], got.markers.pictures[-1]]
    wanted = 100 * np.concatenate(both).ravel()
    np.testing.assert_allclose([*map(float, found)], wanted, atol=0.11)
  assert sum(post.alignment.words.pictures.size for post in posts)
