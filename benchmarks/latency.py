r"""Latency of predicting one post, compared with the time of its products.

    python -m benchmarks.photo_tree --out=tree --rows=100
    python -m benchmarks.latency --raw_dir=tree
    python -m benchmarks.latency --raw_dir=data --boxes=boxes.json \
        --tokenizer=bert-base-uncased --size=mini --out=latency.json

Measures `Predictor.predict` from text, picture file and boxes to probabilities,
with random parameters, on the first test rows of a raw tree. The floor is the
FLOPs of the post's own tokens and pictures, without padding, over the FLOP/s of
a large matrix product, which is timed between the posts because the speed of
shared machines drifts. The rest is reading the post, decoding its picture,
padding, softmax and norms, and products too small to reach that rate.
"""

import dataclasses
import itertools
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import flops, harness, photo_tree
from ifa_jax import benchmark
from ifa_jax.cli import progress
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.inference.predictor import Predictor
from ifa_jax.models import parameters
from ifa_jax.models.config import ModelConfig, VisionConfig
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState

_PERCENTILES = (50, 95)


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  raw_dir: str = setting("Raw tree of the posts.")
  row: str = setting("Model.", "objects", choices=("objects", "text"))
  size: str = setting("Size of encoders.", "base", choices=[*benchmark.SIZES])
  boxes: str | None = setting("Boxes file; default: in --raw_dir.", None)
  tokenizer: str | None = setting(
    "Hub id or folder; default: `tokenizer` in --raw_dir.", None
  )
  num_posts: int = setting("Maximum number of posts.", 20, least=1)
  rounds: int = setting("Measurements of each post.", 5, least=1)
  out: str | None = setting("JSON file to write.", None)


def write_run(workdir: str, model: ModelConfig, tokenizer: str) -> None:
  """Writes the folder of a run with random parameters, for `Predictor`.

  Raises:
    ValueError: if the tokenizer has more ids than the model.
  """
  folder, loaded = RunFolder(workdir), Tokenizer.load(tokenizer)
  if loaded.vocab_size > model.text.vocab_size:
    raise ValueError(
      f"{tokenizer}: expected at most {model.text.vocab_size} ids, got"
      f" {loaded.vocab_size}"
    )
  others = (f"relation_{i}" for i in range(1, model.num_relations))
  folder.claim(
    RunConfig(model=model).to_dict(),
    {
      "relations": ["None", *others],
      "protocol": "clean",
      "tokenizer": {"sha256": loaded.sha256},
      "image_size": VisionConfig().image_size,
      "missing_pixels": "absent",
      "counts": {"train": {"pictures": 1, "grounded": 1, "detected": 1}},
    },
  )
  loaded.save(folder.file("tokenizer"))
  init = jax.jit(lambda key: parameters.init_params(model, key))
  params = jax.tree.map(np.asarray, init(jax.random.key(0)))
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    checkpoints.save(TrainState(np.int32(1), params, {}), {"f1": 0.0})


def count_flops(predictor: Predictor, post: Mapping[str, Any]) -> float:
  """Returns the FLOPs of a post's own tokens, picture and crops."""
  example = predictor.reader.read(predictor.complete(post))
  vision = predictor.model.vision
  squares = itertools.chain(*example.squares.values())
  patches = sum((len(x) // vision.patch_size) ** 2 for x in squares)
  num_tokens = len(example.text.encoded.input_ids)
  return flops.of_prediction(predictor.model, num_tokens, patches)


def measure(
  predictor: Predictor, posts: Sequence[Mapping[str, Any]], rounds: int
) -> np.ndarray:
  """Predicts the posts one by one, after a first round that compiles.

  Returns:
    float64[rounds * posts, 3]: seconds and FLOPs of a prediction, and FLOP/s of
    the product before it.
  """
  product = flops.make_product()
  needed = [count_flops(predictor, post) for post in posts]
  for post in progress.bar(posts, "first round", unit=" posts"):
    predictor.predict(post)
  found = []
  for _ in progress.bar(range(rounds), "rounds", unit=" rounds"):
    for post, count in zip(posts, needed, strict=True):
      rate, began = product(0), time.perf_counter()
      predictor.predict(post)
      found.append((time.perf_counter() - began, count, rate))
  return np.array(found)


def summarise(found: np.ndarray) -> dict[str, float]:
  """Returns percentiles of the results of `measure`, times in milliseconds."""
  # A single product is too short for a stable rate.
  rate = float(np.median(found[:, 2]))
  latencies, floors = 1e3 * found[:, 0], 1e3 * found[:, 1] / rate
  values = {"latency_ms": latencies, "floor_ms": floors}
  values["ratio"] = latencies / floors
  return {"product_gflops_per_second": round(rate / 1e9, 1)} | {
    f"{name}_p{q}": round(float(np.percentile(found, q)), 3)
    for name, found in values.items()
    for q in _PERCENTILES
  }


def main(settings: Settings) -> None:
  """Runs the command."""
  model = benchmark.make_model(settings.row, settings.size, "float32")
  tokenizer = settings.tokenizer or os.path.join(settings.raw_dir, "tokenizer")
  rows = photo_tree.read_posts(settings.raw_dir, settings.boxes)
  posts = list(itertools.islice(rows, settings.num_posts))
  with tempfile.TemporaryDirectory() as folder:
    workdir = os.path.join(folder, "run")
    write_run(workdir, model, tokenizer)
    found = summarise(measure(Predictor(workdir), posts, settings.rounds))
  title = (
    f"One post at a time: {settings.row}, size {settings.size}, {len(posts)}"
    f" posts, {settings.rounds} rounds, product"
    f" {found['product_gflops_per_second']:.0f} GFLOP/s"
  )
  digits = {"latency_ms": 1, "floor_ms": 1, "ratio": 2}
  rows = [
    [f"{q} %", *(f"{found[f'{k}_p{q}']:.{n}f}" for k, n in digits.items())]
    for q in _PERCENTILES
  ]
  columns = ("percentile", "latency, ms", "floor, ms", "latency / floor")
  found = {"settings": dataclasses.asdict(settings)} | found
  harness.report(title, columns, rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
