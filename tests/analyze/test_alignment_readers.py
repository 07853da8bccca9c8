"""Maps of each system, and models and data that have none."""

import dataclasses

import aligned
import numpy as np
import pytest
import scene_trees
import tiny_systems

from ifa_jax.analyze.alignment import command, map_kinds, maps, readers
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.maps import Column
from ifa_jax.data.scenes import graph_similarity
from ifa_jax.data.text import layouts
from ifa_jax.data.text import tokenizer as tokenization
from ifa_jax.data.text.row_text import RowText
from ifa_jax.models import SYSTEMS, replace
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.successors import mkgformer
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="made")
def scenes_of_the_dataset(data_dir, tmp_path_factory):
  """Returns their folder and the scenes."""
  folder = tmp_path_factory.mktemp("scenes")
  return folder, tiny_systems.write_scenes(folder, data_dir)[0]


def test_objects_without_labels_have_numbers():
  rng = np.random.default_rng(0)
  unnamed = scene_trees.scene(rng, 2, labels=[])
  row = aligned.make_post().row

  def names(scene, num):
    return [column.name for column in row.with_objects(scene, num).objects]

  assert names(unnamed, 2) == ["object 1", "object 2"]
  some = unnamed._replace(labels=["", "dog"])
  assert names(some, 2) == ["object 1", "2 dog"]
  assert names(None, 0) == []


@pytest.mark.parametrize(
  ("picture", "size", "box"),
  [
    ((200, 100), (200, 100), (0, 0, 50, 100)),
    # Those of `region_encoder.Geometry`.
    ((200, 100), (1000, 1000), (0, 0, 250, 1000)),
    ((0, 0), (200, 100), (0, 0, 50, 100)),
  ],
)
def test_boxes_are_on_the_picture_whatever_the_size_of_the_scene(
  picture, size, box
):
  post = aligned.make_post()
  scene = scene_trees.scene(
    np.random.default_rng(0), 1, size=size, boxes=np.array([box], np.float32)
  )
  row = post.row._replace(picture_size=picture).with_objects(scene, 1)
  assert (row.picture_size, row.boxes["object"]) == (
    (200, 100),
    [(0, 0, 50, 100)],
  )
  # Of 200 x 100 pixels the columns 50 to 150 are kept.
  shown = dataclasses.replace(post, row=row, sizes={"image": 56})
  assert shown.place(Column("object", 0, 0)).box is None


def test_words_of_both_entities_sum_all_their_tokens():
  """`layouts.opennre` repeats them; the alignment is divided among 4 tokens."""
  text = aligned.make_text(
    [-1, -1, 0, 1, 1, -1, -1, 1, 1, 2, -1, -1],
    "abc",
    {"head": (0, 2), "tail": (1, 3)},
    (1, 6),
  )
  kept = np.array([[0.3, 0.0], [0.0, 0.8], [0.5, 0.0]])
  alpha = graph_similarity.on_tokens(kept, text.encoded.word_ids, 14)
  mega = tiny_systems.MODELS["mega"]
  kind = map_kinds.of_regions(replace(mega, semantic=False))
  objects = [Column("object", i, i) for i in range(2)]
  got = maps.align(alpha[None], text, objects, kind)
  np.testing.assert_allclose(got.words.pictures[0], kept, atol=1e-7)


def test_layouts_keep_a_token_of_each_entity(raw_dir):
  """OpenNRE's layout repeats the entities and may cut the repetition."""
  tokenizer = tokenization.Tokenizer.load(raw_dir / "tokenizer")
  kind = map_kinds.of_regions(
    replace(tiny_systems.MODELS["mega"], semantic=False)
  )
  kind = kind._replace(pool=np.mean)
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
    patches = maps.align(weights, text, [Column("object", 0, 0)], kind).patches
    assert [entity[0].item() for entity in patches.values()] == [1, 1]
  assert cut > 20


@pytest.mark.parametrize(
  ("shape", "num_objects"), [((1, 5, 4), 4), ((2, 5, 3), 4), ((3, 5, 4), 2)]
)
def test_mismatched_weights_raise(shape, num_objects):
  kind = map_kinds.of_regions(tiny_systems.MODELS["mega"])
  spans = {"head": (0, 1), "tail": (1, 2)}
  text = aligned.make_text([-1, 0, 1, -1], "ab", spans, (0, 3))
  objects = [Column("object", i, i) for i in range(num_objects)]
  with pytest.raises(ValueError, match=f"2 maps of at least {num_objects} k"):
    maps.align(np.zeros(shape), text, objects, kind)


@pytest.mark.parametrize("name", ["mkgformer", "hvformer"])
def test_a_look_has_visual_keys_only(name):
  model = tiny_systems.MODELS[name]
  reader = readers.reader(model, None, model.picture_slots, 32)
  # MKGformer compares whole states.
  assert ("heads" in reader.kind.cell) == (name == "hvformer")
  spans = {"head": (0, 1), "tail": (1, 2)}
  text = aligned.make_text([-1, 0, 1, -1], "ab", spans, (0, 3))
  shape = (len(model.map_titles), 4, reader.kind.num_visual)
  weights = np.random.default_rng(0).dirichlet(np.ones(shape[2]), shape[:2])
  # The last slot is empty.
  columns = reader.slots[:-1]
  got = maps.align(weights, text, columns, reader.kind)
  wanted = np.concatenate([weights.mean(axis=0, keepdims=True), weights])
  for shares, tokens in ((got.words, [1, 2]), (got.markers, [0, 3])):
    rows = wanted[:, tokens]
    pictures = [rows[..., c.keys].sum(axis=-1) for c in columns]
    np.testing.assert_allclose(shares.pictures, np.stack(pictures, -1))
    empty = rows[..., reader.slots[-1].keys].sum(axis=-1)
    elsewhere = np.stack([rows[..., 0], empty], -1)
    np.testing.assert_allclose(shares.elsewhere, elsewhere)
  with_text = np.ones((*shape[:2], shape[2] + 4))
  with pytest.raises(ValueError, match=f"{shape[2]} visual and 0 text keys"):
    maps.align(with_text, text, columns, reader.kind)


def test_pixels_without_maps_are_refused():
  rules = mkgformer.FusionRules(fused_layers=0)
  model = replace(tiny_systems.MODELS["mkgformer"], fusion_rules=rules)
  with pytest.raises(ValueError, match="no layer whose text attends to pixels"):
    readers.reader(model, None, model.picture_slots, 32)


def test_weights_of_a_system_without_a_description_are_read():
  @dataclasses.dataclass(frozen=True)
  class Config(BertConfig):
    regions: RegionConfig = RegionConfig(2)  # noqa: RUF009
    weight_names = ("first", "second")
    system = "new"

  kind = readers.reader(Config(), "scenes", (), 32).kind
  assert [*kind.titles] == ["first", "second"]
  spans = {"head": (0, 1), "tail": (1, 2)}
  text = aligned.make_text([-1, 0, 0, 1], "ab", spans, (0, 3))
  weights = np.random.default_rng(0).random((2, 4, 2))
  objects = [Column("object", i, i) for i in range(2)]
  got = maps.align(weights, text, objects, kind).words.pictures
  np.testing.assert_allclose(got[:, 0], weights[:, 1:3].mean(axis=1))
  np.testing.assert_allclose(got[:, 1], weights[:, 3])


NO_MAP = {
  **dict.fromkeys(tiny_systems.TEXT_ONLY, "got one that reads only text"),
  "bert_sg": "got one that sums its objects: no word is aligned with any",
}


@pytest.mark.parametrize("name", NO_MAP)
def test_system_without_map_raises(name, data_dir, made, tmp_path):
  built = tiny_systems.build(name, data_dir, made[0])
  with pytest.raises(ValueError, match=NO_MAP[name]) as raised:
    command.make_reader(built, RunFolder(tmp_path))
  assert str(raised.value).startswith(f"{tmp_path}: expected a model that")


def test_run_without_scenes_raises(data_dir, tmp_path):
  built = tiny_systems.build("mega", data_dir)
  with pytest.raises(ValueError, match=r"data.scenes: expected a directory"):
    command.make_reader(built, RunFolder(tmp_path))


def test_every_system_of_regions_describes_its_maps(data_dir, made):
  for system in SYSTEMS.values():
    config = system[0]()
    if config.regions is not None:
      kind = map_kinds.of_regions(config)
      own = [*kind.titles][kind.combine is not None :]
      assert tuple(own) == config.weight_names


def test_num_seen_counts_objects(data_dir, made):
  built = tiny_systems.build("vilbert", data_dir, made[0])
  split = built.data.split("test")
  _, pictures = made
  most = tiny_systems.NUM_REGIONS
  wanted = [
    min(pictures["test"][split.describe(i).img_id].num_objects, most)
    for i in range(len(split))
  ]
  assert [num for (num,) in built.data.num_seen(split)] == wanted


def test_num_seen_counts_inputs_of_the_model(build):
  built = build(model={"use_objects": False})
  split = built.data.split("test")
  pictures = [split.describe(i).num_squares["image"] for i in range(17)]
  assert [num for (num,) in built.data.num_seen(split)] == pictures


@pytest.mark.parametrize("name", ["caption", "ifaformer_caption"])
def test_captions_are_cut_to_the_length_of_the_run(data_dir, name):
  built = tiny_systems.build(name, data_dir, caption_len=5)
  split = built.data.split("test")
  aligner = alignment_split.SplitAligner(built, tiny_systems.params(built))
  stored = [split.describe(row).caption.input_ids for row in range(len(split))]
  (long,) = np.flatnonzero([len(ids) > 5 for ids in stored])[:1]
  (post,) = aligner.posts(split, [long])
  # [CLS] and [SEP] are two of the five.
  assert sum(column.num_pieces for column in post.alignment.columns) == 3
