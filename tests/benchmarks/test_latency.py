"""The latency benchmark: its floor counted by hand, and a run of it."""

import pytest

from benchmarks import flops, latency, random_run, sample_posts
from ifa_jax import benchmark
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models import TextConfig, VisionConfig, variants

WIDTH, LAYERS = 512, 3
PATCH, NUM_RELATIONS = 32, 23


def make_model(row, layers=LAYERS, width=WIDTH):
  sizes = {"hidden_dim": width, "num_layers": layers, "mlp_dim": 4 * width}
  return variants.make(
    row,
    text=TextConfig(num_heads=8, **sizes),
    vision=VisionConfig(num_heads=8, **sizes),
    dtype="float32",
  )


def last_products_of(tokens, keys):
  """FLOPs of the last text layer: all are keys, two markers are read on."""
  return products_of(2, keys) + 2 * 2 * (tokens - 2) * WIDTH**2


def products_of(tokens, keys):
  """FLOPs of a layer's products: four projections, attention, and the MLP."""
  projections = 4 * 2 * tokens * WIDTH**2
  attention = 2 * 2 * tokens * keys * WIDTH
  return projections + attention + 2 * 2 * tokens * WIDTH * 4 * WIDTH


def test_flops_of_text_are_those_of_its_products():
  tokens = 24
  batch = benchmark.random_batch(make_model("text"), 1, tokens)
  head = 2 * 2 * WIDTH * NUM_RELATIONS
  wanted = (
    (LAYERS - 1) * products_of(tokens, tokens)
    + last_products_of(tokens, tokens)
    + head
  )
  # Norms, activations and softmax are counted too: 2.4 % at this width.
  found = flops.count_flops(make_model("text"), batch)
  assert wanted < found < 1.03 * wanted


def test_flops_of_pictures_leave_out_what_the_last_layer_does_for_nobody():
  tokens, patches = 24, 49 + 3 * 16 + 3 * 4
  visual = 1 + patches
  keys = tokens + visual
  batch = benchmark.random_batch(make_model("objects"), 1, tokens)
  head = 2 * 2 * WIDTH * NUM_RELATIONS
  wanted = (
    (LAYERS - 1) * products_of(tokens, keys)
    + last_products_of(tokens, keys)
    + (LAYERS - 1) * products_of(visual, keys)
    # The last one lends its keys and values.
    + 2 * 2 * visual * WIDTH**2
    + 2 * patches * 3 * PATCH**2 * WIDTH
    + head
  )
  found = flops.count_flops(make_model("objects"), batch)
  assert wanted < found < 1.03 * wanted


def test_latencies_are_compared_with_the_floor_of_their_own_posts():
  turns = [
    latency.Turn(seconds=0.2, flops=1e9, rate=9e9),
    latency.Turn(seconds=0.3, flops=2e9, rate=10e9),
    latency.Turn(seconds=0.5, flops=1e9, rate=30e9),
  ]
  found = latency.summarise(turns)
  assert found["product_gflops_per_second"] == 10
  assert found["latency_ms_p50"] == 300
  assert found["floor_ms_p50"] == 100
  assert found["ratio_p50"] == 2
  assert found["ratio_p95"] == pytest.approx(4.7)


def test_posts_come_with_photos_and_boxes_inside_them(tmp_path):
  posts, tokenizer = sample_posts.make(str(tmp_path), 2)
  assert len(posts) == 2
  for post in posts:
    assert sample_posts.decode.open_picture(post["image"]).size == (800, 600)
    corners = [box["box"] for box in post["boxes"]]
    assert max(x1 for _, _, x1, _ in corners) > 200
    assert all(x1 <= 801 and y1 <= 601 for _, _, x1, y1 in corners)
  assert (tmp_path / "raw" / "tokenizer").samefile(tokenizer)


@pytest.mark.usefixtures("fast_compilation")
def test_a_post_is_predicted_in_turn_with_a_product(tmp_path):
  posts, tokenizer = sample_posts.make(str(tmp_path), 2)
  model = make_model("objects", layers=1, width=16)
  random_run.write(str(tmp_path / "run"), model, tokenizer)
  predictor = Predictor(tmp_path / "run")
  turns = latency.measure(predictor, posts, rounds=2)
  assert [turn.flops for turn in turns[:2]] == [
    turn.flops for turn in turns[2:]
  ]
  without = latency.FloorCounter(predictor)(
    {k: v for k, v in posts[0].items() if k != "image"}
  )
  assert 0 < without < turns[0].flops
  assert all(turn.seconds > 0 < turn.rate for turn in turns)


def test_bad_posts_are_told_by_file_and_line(tmp_path):
  path = tmp_path / "posts.jsonl"
  path.write_text('{"text": "Ann"}\n[1]\n')
  with pytest.raises(ValueError, match=r"posts\.jsonl:2: no JSON object"):
    sample_posts.read(str(path), 5)
  assert sample_posts.read(str(path), 1) == [{"text": "Ann"}]
  path.write_text("")
  with pytest.raises(ValueError, match="want posts, found none"):
    sample_posts.read(str(path), 5)
