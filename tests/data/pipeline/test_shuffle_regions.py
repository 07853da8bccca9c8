"""Table 1 of systems other than IFAformer: only regions move."""

import functools
import math

import jax
import numpy as np
import pytest
import tiny_systems

from ifa_jax.analyze.shuffle import conditions
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training import evaluation
from ifa_jax.training.config.run_config import DataConfig, RunConfig
from ifa_jax.training.epochs import shuffled_rows
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
KINDS = [Shuffle(), Shuffle("image"), Shuffle(keep="count")]


@pytest.fixture(scope="module", name="made")
def scenes_of_the_dataset(data_dir, tmp_path_factory):
  """Returns their folder, the scenes and the heads."""
  folder = tmp_path_factory.mktemp("scenes")
  return folder, *tiny_systems.write_scenes(folder, data_dir)


class Seen:
  """Predictions of perturbed parameters under each condition."""

  def __init__(self, built, monkeypatch, folder):
    self.visual_rows, self.probabilities = [], []
    best = evaluation.Best(0, built.parallel.copy(tiny_systems.params(built)))
    predict = evaluation.Evaluator.predict

    def spying(evaluator, params, split, visual_rows=None, **options):
      found = predict(evaluator, params, split, visual_rows, **options)
      self.visual_rows.append(visual_rows)
      self.probabilities.append(found.probabilities)
      return found

    monkeypatch.setattr(evaluation.Evaluator, "predict", spying)
    monkeypatch.setattr(evaluation, "load_best", lambda *_: best)
    run = RunFolder(folder)
    _, self.conditions = conditions.predict(built, run, KINDS, 2)


@pytest.fixture(scope="module")
def see(data_dir, made, tmp_path_factory, fast_compilation):
  """Returns name -> the experiment of a system, and its `Seen`."""

  @functools.cache
  def make(name):
    built = tiny_systems.build(name, data_dir, made[0])
    with pytest.MonkeyPatch.context() as patched:
      return built, Seen(built, patched, tmp_path_factory.mktemp(name))

  return make


@pytest.mark.parametrize("name", tiny_systems.TEXT_ONLY)
def test_a_text_model_predicts_the_same_bits(name, see):
  _, seen = see(name)
  assert len(seen.probabilities) == 1 + 3 * 2 + 1
  # Rows differ from each other; otherwise equality would prove nothing.
  assert np.ptp(seen.probabilities[0], axis=0).max() > 1e-3
  for found in seen.probabilities[1:]:
    assert found.tobytes() == seen.probabilities[0].tobytes()


@pytest.mark.parametrize("name", ["bert_sg", "mega", "vilbert"])
def test_regions_affect_predictions(name, see, made):
  built, seen = see(name)
  assert [one.name for one in seen.conditions] == [
    "standard",
    "shuffle(test)",
    "shuffle(test), by image",
    "shuffle(test), count kept",
    "blank",
  ]
  standard, *others = seen.probabilities
  for other in others:
    assert np.abs(other - standard).max() > 1e-3
  # As many objects, of other pictures.
  split = built.data.split("test")
  counts = [objects_of(split.describe(i), made) for i in range(len(split))]
  for rows in seen.visual_rows[5:7]:
    assert [counts[row] for row in rows] == counts
    assert not np.array_equal(rows, np.arange(len(split)))
  free = seen.visual_rows[1]
  assert [counts[row] for row in free] != counts


def objects_of(text, made):
  scene = made[1]["test"][text.img_id]
  return min(scene.num_objects, tiny_systems.NUM_REGIONS)


@pytest.mark.parametrize("name", ["mega", "vilbert"])
def test_blank_equals_pictures_without_an_object(name, see):
  built, seen = see(name)
  every = sampling.evaluation_order(17, 17)
  (batch,) = built.data.batches(built.data.split("test"), every)
  names = ("regions", "region_boxes", "region_mask", "alignment")
  there = {name: getattr(batch, name) for name in names}
  nothing = {k: np.zeros_like(v) for k, v in there.items() if v is not None}
  params = tiny_systems.params(built)
  run = jax.jit(functools.partial(built.model.apply, {"params": params}))
  wanted = jax.nn.softmax(run(batch.replace(**nothing)).logits)
  np.testing.assert_allclose(seen.probabilities[-1], wanted, atol=TOLERANCE)


def node_features(edges, num):
  """Degrees one and two hops away, by loops (MEGA's xNetMF)."""
  linked = [{b for a, b in pairs(edges) if a == node} for node in range(num)]
  most = max((len(near) for near in linked), default=0)
  width = math.floor(math.log2(most)) + 1 if most else 0
  features = np.zeros((num, width))
  for node in range(num):
    hops, seen = [{node}], {node}
    for _ in range(2):
      after = {w for v in hops[-1] for w in linked[v]} - seen
      hops.append(after)
      seen |= after
    for hop, nodes in enumerate(hops):
      degrees = [len(linked[other]) for other in nodes if linked[other]]
      buckets = [math.floor(math.log2(degree)) for degree in degrees]
      for bucket in set(buckets):
        features[node, bucket] += 0.01**hop * buckets.count(bucket)
  return features


def pairs(edges):
  """Both directions of edges, without self loops."""
  return {(a, b) for x, y in edges for a, b in ((x, y), (y, x)) if a != b}


def alignment_by_hand(tree, scene, num, word_ids):
  """Returns float[T', M]: each word's best object, divided among its tokens."""
  governed = [(head, i) for i, head in enumerate(tree) if head >= 0]
  words = node_features(governed, len(tree))
  edges = [e for e in scene.edges.tolist() if max(e) < num]
  objects = node_features(edges, num)
  width = max(words.shape[1], objects.shape[1])
  pad = lambda x: np.pad(x, ((0, 0), (0, width - x.shape[1])))  # noqa: E731
  words, objects = pad(words), pad(objects)
  found = np.zeros((len(word_ids), tiny_systems.NUM_REGIONS))
  for token, word in enumerate(word_ids):
    if word < 0 or not num:
      continue
    alike = [math.exp(-math.dist(words[word], one)) for one in objects]
    weights = [math.exp(-math.sqrt(max(0.0, 2 - 2 * s))) for s in alike]
    best = max(range(num), key=lambda j: (weights[j], -j))
    found[token, best] = weights[best] / word_ids.count(word)
  return found


@pytest.mark.parametrize("name", ["mega", "vilbert"])
def test_a_shuffled_batch_is_rebuilt_for_other_pictures(name, data_dir, made):
  """Objects, boxes and alignment, from the scenes and trees themselves."""
  folder, pictures, heads = made
  built = tiny_systems.build(name, data_dir, folder)
  split = built.data.split("test")
  rows = shuffled_rows(built.data, split, 3, Shuffle())
  every = sampling.evaluation_order(len(split), len(split))
  (batch,) = built.data.batches(split, every, rows)
  (own,) = built.data.batches(split, every)
  np.testing.assert_array_equal(batch.input_ids, own.input_ids)
  np.testing.assert_array_equal(batch.label, own.label)
  assert np.abs(batch.regions - own.regions).max() > 0.1
  for row, other in enumerate(rows):
    text, picture = split.describe(row), split.describe(int(other))
    scene, num = pictures["test"][picture.img_id], objects_of(picture, made)
    assert batch.region_mask[row].sum() == num
    np.testing.assert_array_equal(
      batch.regions[row, :num], scene.features[:num].astype(np.float32)
    )
    assert not batch.regions[row, num:].any()
    x0, y0, x1, y1 = scene.boxes[:num].T / [[640], [480], [640], [480]]
    area = (x1 - x0) * (y1 - y0)
    np.testing.assert_allclose(
      batch.region_boxes[row, :num],
      np.stack([x0, y0, x1, y1, area], axis=1),
      atol=1e-6,
    )
    if name == "mega":
      word_ids = text.encoded.word_ids
      wanted = alignment_by_hand(heads[text.id], scene, num, word_ids)
      found = batch.alignment[row]
      np.testing.assert_allclose(found[: len(word_ids)], wanted, atol=1e-6)
      assert not found[len(word_ids) :].any()


@pytest.mark.parametrize("name", ["mega", "vilbert"])
def test_a_shuffle_predicts_from_the_other_objects(name, see):
  built, seen = see(name)
  split, params = built.data.split("test"), tiny_systems.params(built)
  every = sampling.evaluation_order(17, 17)
  (batch,) = built.data.batches(split, every, seen.visual_rows[1])
  run = jax.jit(functools.partial(built.model.apply, {"params": params}))
  wanted = jax.nn.softmax(run(batch).logits)
  np.testing.assert_allclose(seen.probabilities[1], wanted, atol=TOLERANCE)


def config_of(name, seed):
  data = DataConfig(visual_shuffle_seed=seed)
  return RunConfig(model=tiny_systems.MODELS[name], data=data)


@pytest.mark.parametrize(
  ("theirs", "seed", "wanted"),
  [
    ("mtb", None, "mtb, text only, another run"),
    ("pcnn", 0, "pcnn, text only, another run"),
    ("vilbert", None, "vilbert, standard, another run"),
    ("vilbert", 0, "vilbert, shuffle(train)"),
    ("bert_sg", None, "bert_sg, standard, another run"),
    ("mega", 3, "shuffle(train)"),
  ],
)
def test_another_run_is_named_by_its_system_and_pictures(theirs, seed, wanted):
  ours = tiny_systems.MODELS["mega"]
  assert conditions._describe(config_of(theirs, seed), ours) == wanted
