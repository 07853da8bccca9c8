"""Objects found by tiny models, against their raw outputs read by hand."""

import json

import detectors
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from ifa_jax.data.images import boxes
from ifa_jax.detection.finder import ObjectFinder
from ifa_jax.detection.queries import Queries

pytestmark = pytest.mark.slow

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CLIP = (
  [0.48145466, 0.4578275, 0.40821073],
  [0.26862954, 0.26130258, 0.27577711],
)
# In points of sizes that `detectors.SIDES` scales without a remainder.
SIZES = {(64, 48): (96, 72), (60, 40): (108, 72)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """A detector, a Grounding DINO and an OWL-ViT, by name."""
  folder = tmp_path_factory.mktemp("models")
  return {
    "detector": detectors.write_detector(folder / "detector"),
    "grounder": detectors.write_grounder(folder / "grounder"),
    "owl": detectors.write_owl(folder / "owl"),
  }


@pytest.fixture(scope="module")
def pictures():
  rng = np.random.default_rng(0)
  sizes = [(64, 48), (60, 40), (64, 48), (64, 48)]
  return [
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    for width, height in sizes
  ]


@pytest.fixture(scope="module")
def grounding(folders):
  return ObjectFinder(None, folders["grounder"], threshold=0.0)


def pixels(picture, size, resample, mean_std):
  """A picture as model input, float[1, 3, H, W]."""
  mean, std = (np.float32(values) for values in mean_std)
  resized = np.asarray(picture.resize(size, resample), np.float32) / 255
  return torch.tensor((resized - mean) / std).permute(2, 0, 1)[None]


def keep(scores, centres, picture, threshold, count):
  """Boxes over a threshold, best first, from centres and extents in [0, 1]."""
  width, height = picture.size
  kept = []
  for i, (score, (x, y, w, h)) in enumerate(
    zip(scores.tolist(), centres.tolist(), strict=True)
  ):
    edges = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    lengths = [width, height, width, height]
    edges = [
      min(max(int(edge * length), 0), length)
      for edge, length in zip(edges, lengths, strict=True)
    ]
    if score > threshold and edges[0] < edges[2] and edges[1] < edges[3]:
      kept.append((score, edges, i))
  return sorted(kept, key=lambda box: -box[0])[:count]


def detect_by_hand(folder, picture, threshold, count=36):
  model = transformers.DetrForObjectDetection.from_pretrained(folder).eval()
  with torch.no_grad():
    out = model(pixels(picture, SIZES[picture.size], Image.BILINEAR, IMAGENET))
  exponents = np.exp(out.logits[0].numpy())
  shares = (exponents / exponents.sum(1, keepdims=True))[:, :-1]
  kept = keep(shares.max(1), out.pred_boxes[0], picture, threshold, count)
  labels = [detectors.CLASSES[i] for i in shares.argmax(1)]
  return [
    {"box": edges, "score": score, "label": labels[i]}
    for score, edges, i in kept
  ]


def ground_by_hand(folder, picture, ids, phrase, threshold):
  """As `detect_by_hand`, for the token ids of one query."""
  if "owl" in folder:
    kind, size = transformers.OwlViTForObjectDetection, (32, 32)
    read = pixels(picture, size, Image.BICUBIC, CLIP)
  else:
    kind = transformers.GroundingDinoForObjectDetection
    read = pixels(picture, SIZES[picture.size], Image.BILINEAR, IMAGENET)
  with torch.no_grad():
    out = kind.from_pretrained(folder).eval()(
      pixel_values=read,
      input_ids=torch.tensor([ids]),
      attention_mask=torch.ones(1, len(ids), dtype=torch.long),
    )
  scores = 1 / (1 + np.exp(-out.logits[0].numpy().max(1).astype(float)))
  kept = keep(scores, out.pred_boxes[0], picture, threshold, 36)
  return [
    {"box": edges, "score": score, "phrase": phrase} for score, edges, _ in kept
  ]


def assert_same(found, wanted):
  assert [{**box, "score": 0} for box in found] == [
    {**box, "score": 0} for box in wanted
  ]
  np.testing.assert_allclose(
    [box["score"] for box in found],
    [box["score"] for box in wanted],
    atol=5e-6,
    rtol=0,
  )


def piece_ids(word):
  """Token ids of a word, letter for letter, in the tiny WordPiece."""
  vocabulary = detectors.bert_tokenizer().get_vocab()
  first, *others = word
  return [vocabulary[first], *(vocabulary[f"##{letter}"] for letter in others)]


def test_detected_boxes_are_those_of_the_raw_outputs(folders, pictures):
  scores = [
    box["score"]
    for picture in pictures[:2]
    for box in detect_by_hand(folders["detector"], picture, 0.0)
  ]
  # Away from all scores: half of them are over it.
  threshold = float(np.mean(np.sort(scores)[6:8]))
  finder = ObjectFinder(folders["detector"], None, threshold=threshold)
  found = finder.find(pictures[:2], [("Rome",), ()])
  for listed, picture in zip(found, pictures, strict=False):
    by_hand = detect_by_hand(folders["detector"], picture, threshold)
    assert_same(listed, by_hand)
  assert sum(map(len, found)) == len(scores) // 2 == 7
  assert len({box["label"] for listed in found for box in listed}) > 1


def test_most_boxes_are_the_best(folders, pictures):
  finder = ObjectFinder(folders["detector"], None, threshold=0.0, max_objects=2)
  (found,) = finder.find(pictures[:1], [()])
  assert_same(found, detect_by_hand(folders["detector"], pictures[0], 0.0, 2))


def test_grounded_boxes_are_those_of_a_lower_case_query(folders, pictures):
  finder = ObjectFinder(None, folders["grounder"], threshold=0.2)
  found = finder.find(pictures[:2], [("St. Louis", "Rome"), ("Rome",)])
  queries = {
    "St. Louis": [101, *piece_ids("st"), *piece_ids("louis"), 1012, 102],
    "Rome": [101, *piece_ids("rome"), 1012, 102],
  }
  asked = [(0, "St. Louis"), (0, "Rome"), (1, "Rome")]
  wanted = [[], []]
  for i, name in asked:
    boxes_of_name = ground_by_hand(
      folders["grounder"], pictures[i], queries[name], name, 0.2
    )
    assert boxes_of_name
    wanted[i] += boxes_of_name
  for listed, by_hand in zip(found, wanted, strict=True):
    assert_same(listed, by_hand)


def test_owl_vit_is_asked_for_the_bare_name(folders, pictures):
  finder = ObjectFinder(None, folders["owl"], threshold=0.2)
  (found,) = finder.find(pictures[1:2], [("A. B.",)])
  vocabulary = detectors.clip_tokenizer().get_vocab()
  pieces = ("<|startoftext|>", "a</w>", ".</w>", "b</w>", ".</w>")
  ids = [vocabulary[piece] for piece in (*pieces, "<|endoftext|>")]
  wanted = ground_by_hand(folders["owl"], pictures[1], ids, "A. B.", 0.2)
  assert_same(found, wanted)
  assert 0 < len(found) < 16


def test_detected_boxes_come_first_and_can_be_read(folders, pictures):
  finder = ObjectFinder(folders["detector"], folders["grounder"], threshold=0.1)
  names = [("Rome", "Bill"), ("Bill",)]
  found = finder.find(pictures[:2], names)
  for listed, asked in zip(found, names, strict=True):
    kinds = [box.get("phrase", "") for box in listed]
    assert list(dict.fromkeys(kinds)) == ["", *asked]
    assert json.loads(json.dumps(listed)) == listed
    assert len(boxes.read_list(listed, "here")) == len(listed)


def test_a_batch_gives_the_boxes_of_its_pictures_alone(folders, pictures):
  names = [("Rome",), ("Bill Cosby", "Rome"), (), ("Bill Cosby",)]
  found = []
  for size in (3, 1):
    finder = ObjectFinder(
      folders["detector"], folders["grounder"], threshold=0.1, batch_size=size
    )
    # In float32 these loud weights blow rounding up to 6e-6.
    finder._detect.model.double()
    finder._ground.model.double()
    found.append(finder.find(pictures, names))
  for listed, wanted in zip(*found, strict=True):
    assert_same(listed, wanted)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (50, 3), (1, 90), (300, 1)])
def test_pictures_of_any_form(folders, grounding, size):
  picture = Image.new("RGB", size, "red")
  for finder in (ObjectFinder(folders["detector"], None), grounding):
    (found,) = finder.find([picture], [("Rome",)])
    for x0, y0, x1, y1 in (box["box"] for box in found):
      assert 0 <= x0 < x1 <= size[0]
      assert 0 <= y0 < y1 <= size[1]
    assert not (found and max(size) == 300)


def test_names_that_ask_the_same_are_looked_for_once(
  grounding, pictures, monkeypatch
):
  passes = count_passes(monkeypatch, "GroundingDinoForObjectDetection")
  names = ("St. Louis", "st louis", "\U0001f389", " ", "St. Louis?", "\ud83d")
  (found,) = grounding.find(pictures[:1], [names])
  by_name = {
    name: [box["box"] for box in found if box["phrase"] == name]
    for name in names
  }
  assert len(passes) == 1
  assert by_name["St. Louis"]
  assert by_name["St. Louis"] == by_name["st louis"] == by_name["St. Louis?"]
  assert not any(by_name[name] for name in ("\U0001f389", " ", "\ud83d"))


def count_passes(monkeypatch, kind):
  """Returns a list that grows with each forward pass of a class of models."""
  passes = []
  forward = getattr(transformers, kind).forward

  def counted(self, *args, **inputs):
    passes.append(1)
    return forward(self, *args, **inputs)

  monkeypatch.setattr(getattr(transformers, kind), "forward", counted)
  return passes


def test_names_of_any_length_are_cut_to_what_the_encoder_reads(
  folders, pictures
):
  for grounder, longest in (("grounder", 24), ("owl", 16)):
    finder = ObjectFinder(None, folders[grounder], threshold=0.0)
    names = ("word " * 2000, "x" * 90, "\U0001f389" * 40, "#" * 30)
    (found,) = finder.find(pictures[:1], [names])
    config = transformers.AutoConfig.from_pretrained(folders[grounder])
    # Else it asks the hub about the folder.
    tokenizer = transformers.AutoTokenizer.from_pretrained(
      folders[grounder], local_files_only=True
    )
    queries = Queries(tokenizer, config, grounder)
    for name in names[:2]:
      query = queries.make(name)
      assert longest - 2 <= len(tokenizer(query)["input_ids"]) <= longest
      assert name.startswith(query.removesuffix("."))
      assert name in {box["phrase"] for box in found}
