"""Maps of the systems that read objects, against plain loops; their page."""

import dataclasses
import functools
import html
import json
import re

import aligned
import browser
import jax
import numpy as np
import pytest
import scene_trees
import tiny_systems
from PIL import Image

from ifa_jax.analyze.alignment import boxes as alignment_boxes
from ifa_jax.analyze.alignment import command, figures, readers, regions
from ifa_jax.analyze.alignment import maps as alignment_maps
from ifa_jax.analyze.alignment import posts as alignment_posts
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.maps import Column
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.scenes import graph_similarity
from ifa_jax.data.text import layouts
from ifa_jax.data.text import tokenizer as tokenization
from ifa_jax.data.text.row_text import RowText
from ifa_jax.models import SYSTEMS, replace
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
# Rows of the generated test split, in no order.
ROWS = [5, 0, 11, 3]
ALIGNED = ("bert_sg_att", "mega", "mega_released", "vilbert")


@pytest.fixture(scope="module", name="made")
def scenes_of_the_dataset(data_dir, tmp_path_factory):
  """Returns their folder, the scenes and the heads."""
  folder = tmp_path_factory.mktemp("scenes")
  return folder, *tiny_systems.write_scenes(folder, data_dir)


@functools.cache
def look(name, data_dir, scenes):
  """Returns an experiment, the posts of `ROWS` and what the model captures."""
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
  assert len(got.words.pictures) == len(got.maps) == len(want)
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


def test_vilbert_shares_are_means_of_what_tokens_give(looked):
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
    assert [*got.maps] == ["mean", "0", "1"]
    for shares in (got.words, got.markers):
      total = shares.pictures.sum(-1) + shares.elsewhere.sum(-1)
      np.testing.assert_allclose(total, 1, atol=TOLERANCE)
    # The whole picture alone, where there is no object.
    if not batch.region_mask[i].any():
      np.testing.assert_allclose(got.words.elsewhere, 1, atol=TOLERANCE)
  assert [*posts[0].alignment.wording.elsewhere] == ["whole picture"]


def test_mega_sums_what_objects_give_to_tokens(looked):
  _, posts, _, output = looked("mega")
  for i, post in enumerate(posts):
    alpha, beta = np.asarray(output.region_weights[:, i], np.float64)
    check(post, [alpha + beta, alpha, beta], loop_sum)
    assert [*post.alignment.maps] == ["sum", "structural", "semantic"]
    assert post.alignment.words.elsewhere.shape[2] == 0


@pytest.mark.parametrize(
  ("name", "maps"),
  [
    ("bert_sg_att", ["semantic"]),
    # Its mixtures pass a layer side by side: nothing is added.
    ("mega_released", ["structural", "semantic"]),
  ],
)
def test_weights_that_are_not_added_have_no_sum(looked, name, maps):
  _, posts, _, output = looked(name)
  for i, post in enumerate(posts):
    weights = np.asarray(output.region_weights[:, i], np.float64)
    check(post, [*weights], loop_sum)
    assert [*post.alignment.maps] == maps


def test_what_an_object_gives_adds_up_to_one_with_tokens_of_no_word(looked):
  _, posts, batch, output = looked("bert_sg_att")
  for i, post in enumerate(posts):
    nobody = np.array(post.row.text.encoded.word_ids) == -1
    rest = output.region_weights[0, i, : len(nobody)][nobody].sum(axis=0)
    cells = post.alignment.words.pictures[0].sum(axis=0)
    num = len(post.alignment.columns)
    assert num == batch.region_mask[i].sum()
    np.testing.assert_allclose(cells + rest[:num], 1, atol=TOLERANCE)


def test_a_structural_cell_is_the_weight_that_the_word_kept(looked, made):
  _, pictures, heads = made
  for post in looked("mega")[1]:
    text, scene = post.row.text, pictures["test"][post.row.text.img_id]
    num = min(scene.num_objects, tiny_systems.NUM_REGIONS)
    tree = [(h, i) for i, h in enumerate(heads[text.id]) if h >= 0]
    edges = [e for e in scene.edges.tolist() if max(e) < num]
    words = graph_similarity.node_features(np.array(tree), len(text.words))
    objects = graph_similarity.node_features(np.array(edges), num)
    weights = graph_similarity.similarity(words, objects)
    wanted = graph_similarity.keep_best(weights, np.ones(num, bool), 1)
    read = [word for word in range(len(text.words)) if tokens_of(text, [word])]
    found = post.alignment.words.pictures[1]
    np.testing.assert_allclose(found[read], wanted[read], atol=TOLERANCE)


def test_columns_are_the_objects_that_are_there(looked, made):
  _, pictures, _ = made
  numbers = set()
  for post in looked("vilbert")[1]:
    scene = pictures["test"][post.row.text.img_id]
    num = min(scene.num_objects, tiny_systems.NUM_REGIONS)
    wanted = [f"{i + 1} {scene.labels[i]}" for i in range(num)]
    assert [column.name for column in post.alignment.columns] == wanted
    numbers.add(num)
  assert len(numbers) > 2


def test_objects_without_labels_have_numbers():
  rng = np.random.default_rng(0)
  unnamed = scene_trees.scene(rng, 2, labels=[])
  names = lambda scene, num: [  # noqa: E731
    column.name for column in regions.name_objects(scene, num)
  ]
  assert names(unnamed, 2) == ["object 1", "object 2"]
  some = unnamed._replace(labels=["", "dog"])
  assert names(some, 2) == ["object 1", "2 dog"]
  assert names(None, 0) == []


def test_words_of_two_entities_have_their_tokens_twice():
  """As `layouts.opennre` has them: the alignment divides among all four."""
  text = aligned.make_text(
    [-1, -1, 0, 1, 1, -1, -1, 1, 1, 2, -1, -1],
    "abc",
    {"head": (0, 2), "tail": (1, 3)},
    (1, 6),
  )
  kept = np.array([[0.3, 0.0], [0.0, 0.8], [0.5, 0.0]])
  alpha = graph_similarity.on_tokens(kept, text.encoded.word_ids, 14)
  mega = tiny_systems.MODELS["mega"]
  kind = readers.region_maps(replace(mega, semantic=False))
  objects = [Column("object", i) for i in range(2)]
  got = regions.align(alpha[None], text, objects, kind)
  np.testing.assert_allclose(got.words.pictures[0], kept, atol=1e-7)


def test_words_are_those_of_the_models_own_layout(data_dir, made, monkeypatch):
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


def test_no_layout_leaves_an_entity_without_a_token(raw_dir):
  """Of which there would be no map; OpenNRE's cuts what it has twice."""
  tokenizer = tokenization.Tokenizer.load(raw_dir / "tokenizer")
  rng, cut = np.random.default_rng(0), 0
  for _ in range(2000):
    words = rng.choice(["a", "joins", "\u200b", "xq" * 9], rng.integers(1, 14))
    spans = rng.integers(0, len(words), 2)
    ends = rng.integers(spans, len(words)) + 1
    head, tail = zip(spans.tolist(), ends.tolist(), strict=True)
    try:
      nested = tokenizer.encode([*words], head, tail, 24)
    except ValueError:
      continue
    encoded = layouts.opennre(nested, head, tail, [1, 2, 3, 4], 24)
    cut += len(encoded.input_ids) == 24 and encoded.word_ids[-1] != -1
    text = RowText("", "", [*words], head, tail, {}, encoded)
    weights = np.ones((1, 24, 1))
    rows = alignment_maps.by_word(weights, text, np.mean)
    assert [row.item() for row in rows.entities.values()] == [1, 1]
  assert cut > 20


@pytest.mark.parametrize(
  ("shape", "num_objects"), [((1, 5, 4), 4), ((2, 5, 3), 4), ((3, 5, 4), 2)]
)
def test_weights_that_do_not_fit_are_refused(shape, num_objects):
  kind = readers.region_maps(tiny_systems.MODELS["mega"])
  spans = {"head": (0, 1), "tail": (1, 2)}
  text = aligned.make_text([-1, 0, 1, -1], "ab", spans, (0, 3))
  objects = [Column("object", i) for i in range(num_objects)]
  with pytest.raises(ValueError, match=f"2 maps of at least {num_objects} obj"):
    regions.align(np.zeros(shape), text, objects, kind)


NO_MAP = {
  **dict.fromkeys(tiny_systems.TEXT_ONLY, "found one that reads only text"),
  "bert_sg": "found one that sums its objects: no word is aligned with any",
}


@pytest.mark.parametrize("name", NO_MAP)
def test_a_system_without_a_map_is_refused(name, data_dir, made, tmp_path):
  built = tiny_systems.build(name, data_dir, made[0])
  with pytest.raises(ValueError, match=NO_MAP[name]) as raised:
    command.make_reader(built, RunFolder(tmp_path))
  assert str(raised.value).startswith(f"{tmp_path}: want a model that aligns")


def test_a_run_without_scenes_is_refused(data_dir, tmp_path):
  built = tiny_systems.build("mega", data_dir)
  with pytest.raises(ValueError, match=r"data.scenes: want a folder of scenes"):
    command.make_reader(built, RunFolder(tmp_path))


def test_every_system_says_what_its_maps_are(data_dir, made):
  for system in SYSTEMS.values():
    config = system[0]()
    if config.regions is not None:
      titles = readers.region_maps(config).titles
      assert tuple(titles) == config.weight_names


def test_an_object_lies_where_its_box_does():
  # Of 640 x 480 pixels the columns 80 to 560 are kept.
  place = alignment_boxes.place((80, 0, 320, 120.5), (640, 480), 480, None)
  assert place.box == pytest.approx((0, 0, 0.5, 120.5 / 480))
  assert place.grid == place.box
  outside = alignment_boxes.place((0, 0, 70, 99), (640, 480), 480, None)
  assert outside.box is None
  over = alignment_boxes.place((560 - 48, 0, 640, 480), (640, 480), 480, None)
  assert over.box == pytest.approx((0.9, 0, 1, 1))


@pytest.fixture(name="written")
def a_folder_of_posts(looked, tmp_path):
  """Writes a system's posts; returns the folder and the posts."""

  def write(name, shown=0):
    built, posts, *_ = looked(name)
    visual = built.data.inputs.visual_source(built.data.split("test"))
    source = alignment_posts.Source(f"runs/{name}", "test", "clean", 7, visual)
    command.write(tmp_path, source, iter(posts), shown)
    return tmp_path, posts

  return write


def test_a_json_file_holds_weights_boxes_labels_and_their_source(written, made):
  folder, posts = written("mega")
  _, pictures, _ = made
  for post in posts:
    path = folder / "posts" / f"{post.file_name}.json"
    found = json.loads(path.read_text())
    scene = pictures["test"][found["img_id"]]
    num = len(found["columns"])
    # The scenes' sentences are chains, by their manifest.
    want = ["chain graph, nothing", [*scene.labels[:num]], [640, 480]]
    size = found["picture_size"] if num else [640, 480]
    assert [found["visual_source"], found["labels"], size] == want
    boxes = [found["boxes"][name]["box"] for name in found["columns"]]
    assert boxes == scene.boxes[:num].tolist()
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


def test_a_post_without_a_picture_file_has_its_map_alone(looked, tmp_path):
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
def test_the_page_says_what_is_shown(name, written):
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
  assert text.count("No object is known") == sum(
    not post.alignment.columns for post in posts
  )


@browser.needs_browser
@pytest.mark.parametrize("name", ["mega", "vilbert"])
def test_the_browser_shows_the_map_that_is_chosen(name, written, tmp_path):
  folder, posts = written(name)
  page = (folder / "index.html").as_uri()
  last = [*posts[0].alignment.maps][-1]
  shown = browser.chromium(tmp_path, f"{page}#map={last}", "--dump-dom")
  for post, article in zip(posts, shown.split("<article")[1:], strict=True):
    found = re.findall(r'<td class="picture"[^>]*>([^<]*)</td>', article)
    got = post.alignment
    both = [got.words.pictures[-1], got.markers.pictures[-1]]
    wanted = 100 * np.concatenate(both).ravel()
    np.testing.assert_allclose([*map(float, found)], wanted, atol=0.11)
  assert sum(post.alignment.words.pictures.size for post in posts)


def test_posts_with_objects_are_seen(data_dir, made):
  built = tiny_systems.build("vilbert", data_dir, made[0])
  split = built.data.split("test")
  _, pictures, _ = made
  most = tiny_systems.NUM_REGIONS
  wanted = [
    min(pictures["test"][split.describe(i).img_id].num_objects, most)
    for i in range(len(split))
  ]
  assert [num for (num,) in built.data.num_seen(split)] == wanted
