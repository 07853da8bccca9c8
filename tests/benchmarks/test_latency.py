"""The latency benchmark: its floor, and a run of it."""

import numpy as np
import pytest

from benchmarks import flops, latency, photo_tree
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models import TextConfig, VisionConfig, variants


def test_latencies_are_compared_with_the_floors_of_their_posts():
  seconds, needed, rates = (0.2, 0.3, 0.5), (1e9, 2e9, 1e9), (9e9, 10e9, 30e9)
  found = latency.summarise(np.stack([seconds, needed, rates], axis=1))
  assert found["product_gflops_per_second"] == 10
  assert found["latency_ms_p50"] == 300
  assert found["floor_ms_p50"] == 100
  assert found["ratio_p50"] == 2
  assert found["ratio_p95"] == pytest.approx(4.7)


@pytest.mark.usefixtures("fast_compilation")
def test_a_post_is_predicted_in_turn_with_a_product(tmp_path, monkeypatch):
  monkeypatch.setattr(photo_tree, "PHOTO_SIZE", (160, 120))
  raw = str(tmp_path / "raw")
  photo_tree.main(photo_tree.Settings(out=raw, rows=16))
  posts = list(photo_tree.read_posts(raw))
  sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 8, "mlp_dim": 64}
  model = variants.make(
    "objects",
    text=TextConfig(**sizes),
    vision=VisionConfig(**sizes),
    dtype="float32",
  )
  latency.write_run(str(tmp_path / "run"), model, f"{raw}/tokenizer")
  predictor = Predictor(tmp_path / "run")
  found = latency.measure(predictor, posts, rounds=2)
  assert found.shape == (4, 3)
  assert (found > 0).all()
  needed = found[:, 1]
  assert (needed[:2] == needed[2:]).all()
  # All pictures are there: 49, three times 16 and three times 4 patches.
  example = predictor.reader.read(posts[0])
  num_tokens = len(example.text.encoded.input_ids)
  assert needed[0] == flops.of_prediction(model, num_tokens, 109)
  text = {k: v for k, v in posts[0].items() if k not in ("image", "boxes")}
  expected = flops.of_prediction(model, num_tokens, 0)
  assert latency.count_flops(predictor, text) == expected


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tmp_path):
  raw = str(tmp_path / "raw")
  photo_tree.main(photo_tree.Settings(out=raw, rows=1))
  model = variants.make("text", text=TextConfig(vocab_size=10))
  with pytest.raises(ValueError, match="tokenizer: expected at most 10 ids"):
    latency.write_run(str(tmp_path / "run"), model, f"{raw}/tokenizer")
